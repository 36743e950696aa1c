"""Options below a question, and an answer that is the letter of one."""

from __future__ import annotations

import re
from typing import Any

from savi.prompts.markup import undress

OPTIONS_LABEL = re.compile(r"^(?:options|choices|answer choices|选项|备选)\s*[:：]\s*", re.IGNORECASE)
OPTION = re.compile(r"^[(（\[]?[A-Ha-h][.)）:：、\]](?!\w[.)])\s*(?=\S)")
INLINE_OPTIONS = re.compile(r"(?:^|\s)[(（\[]?([A-Ha-h])[.)）:：、\]]\s*(?=\S)")
LISTED = re.compile(r"^[(（\[]?([A-H])[.)）:：、\]]\s*(\S.*?)\s*$", re.IGNORECASE | re.MULTILINE)
LETTER = re.compile(
    r"""^(?:(?:the\ )?(?:correct\ |right\ |best\ )?(?:answer|option|choice)(?:\ is)?\s*:?
        |(?:答案|选项?|选择)(?:是|为)?[:：]?)?
    [\s*_]*[(（\[]?([A-H])(?:[.)）\]:：、,，。*_]+(?:\s|$|(?=[\u4e00-\u9fff]))|\s*$)""",
    re.IGNORECASE | re.VERBOSE,
)


def option_lines(options: Any) -> list[str]:
    """The options of a JSON object or list, with a letter each."""
    if isinstance(options, dict):
        return [f"{letter}) {text}" for letter, text in options.items()]
    if isinstance(options, list):
        return [text if OPTION.match(str(text)) else f"{'ABCDEFGH'[i % 8]}) {text}" for i, text in enumerate(options)]
    return []


def options_in(line: str) -> list[str]:
    """The options that a line below a question holds; [] where it holds none."""
    line = undress(re.sub(r"^[*+•◦\-–—]\s+", "", line))
    labelled = OPTIONS_LABEL.match(line)
    line = OPTIONS_LABEL.sub("", line)
    if (OPTION.match(line) or labelled) and not re.search(r"[?？]", line):
        return inline_options(line)
    return []


def inline_options(text: str) -> list[str]:
    """ "A) red B) blue" as one option a string; [] where no letter is."""
    starts = [match.start() for match in INLINE_OPTIONS.finditer(text)]
    ends = [*starts[1:], len(text)][: len(starts)]
    return [text[start:end].strip(" ,;") for start, end in zip(starts, ends, strict=True)]


def meant(question: str, answer: str) -> str:
    """An answer that begins with a letter of the question's own options, "B" or "(B) red", as that option's text."""
    options = {letter.upper(): text for letter, text in LISTED.findall(question)}
    letter = LETTER.match(answer.strip()) if len(options) > 1 else None
    return options.get(letter[1].upper(), answer) if letter else answer
