"""Replies to fields. Tolerant of how a model dresses its text, and never silent about what it can't read.

Nothing here knows what a good question is: a line that might be one is kept.
"""

from __future__ import annotations

import ast
import json
import re
from typing import Any

DASH = "[-\u2013\u2014]"
MARKER = re.compile(
    rf"""^(?:(?:[*+\u2022\u2023\u25e6\u00b7]|{DASH})\s+  # a bullet
       | \(?\d{{1,2}}\s*[.):\]](?!\d)\s*  # 1.  1)  (1)  1:   but not 1.5 or 10:30
       | \d{{1,2}}\s+{DASH}\s+  # 1 -
       | \#\d{{1,2}}[.:]?\s+  # #1
       | \(?(?:[a-z]|[ivx]{{2,4}})\)\s+  # a)  (b)  ii)
       | q\d{{0,2}}\s*[:.)]\s*  # Q:  Q1:
       )""",
    re.VERBOSE | re.IGNORECASE,
)
LABEL = re.compile(
    r"^(?:\[?(?:spatial|temporal)\]?(?:[\s-]+reasoning)?(?:\s+questions?)?|questions?)\s*(?:\#?\d{1,2})?"
    r"(?:\s*\((?:spatial|temporal)\))?\s*(?:[:.)]\s*|" + DASH + r"\s+|$|(?<=\])\s*)",
    re.IGNORECASE,
)
BESIDE_QUESTION = re.compile(
    r"^(?:a|(?:correct |expected |suggested )?answer|explanation|reasoning|rationale|note|hint|options|choices)\s*:",
    re.IGNORECASE,
)
TRAILING_ANSWER = re.compile(r"(?<=\?)\s*[\[(]?(?:correct |expected )?answer\s*:.*$", re.IGNORECASE | re.DOTALL)
CHATTER = re.compile(
    r"^(?:sure|certainly|of course|okay|ok|here (?:are|is)|here's|below (?:are|is)|i hope|i have|let me know"
    r"|the following|these questions|based on)\b",
    re.IGNORECASE,
)
OPENER = re.compile(
    r"^(?:what|which|who|whom|whose|where|when|why|how|is|are|was|were|do|does|did|has|have|had|can|could|will|would"
    r"|should|if|in (?:what|which)|at (?:what|which)|on (?:what|which)|from (?:what|which)|to (?:what|which)"
    r"|name|describe|identify|explain|list|count|compare|tell|state|determine)\b",
    re.IGNORECASE,
)
CLOSING = re.compile(r"^(?:would you like|do you want me|shall i|let me know|is there anything else)\b", re.IGNORECASE)
FENCE = re.compile(r"^[ \t]*(?:```|~~~)[\w-]*[ \t]*$", re.MULTILINE)
BOLD = re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*|(?<!\w)__(?=[^\s_])(.+?)(?<=[^\s_])__(?!\w)")
ITALIC = re.compile(r"^\*(?=[^\s*])([^*]+)(?<=[^\s*])\*$|^_(?=[^\s_])([^_]+)(?<=[^\s_])_$")
HEADING = re.compile(r"^(?:#{1,6}|>)\s+")
JSON_LIST = re.compile(r"""\[\s*(?:["'{].*)?\]""", re.DOTALL)
QUOTES = {'"': '"', "'": "'", "\u201c": "\u201d", "\u2018": "\u2019", "«": "»", "`": "`"}

ADJECTIVE = r"(?:the|my|a|an|first|initial|final|proposed|improved|revised|corrected|updated|better|new|short)"
ANSWER_LABEL = re.compile(
    rf"^(?:(?:here is|here's|this is)\s+)?(?:{ADJECTIVE}\s+)*(?:answer|response|reply|revision|a)"
    r"(?:\s+to the question)?\s*(?:\s-|:)\s*",
    re.IGNORECASE,
)
CRITIQUE_LABEL = re.compile(
    rf"^(?:(?:here is|here's|this is)\s+)?(?:{ADJECTIVE}\s+)*(?:critique|criticism|critic|feedback|review)"
    r"(?:\s+of the (?:proposed )?answer)?\s*(?:\s-|:)\s*",
    re.IGNORECASE,
)
QUESTION_ECHO = re.compile(
    r"^(?:q|question)\s*:.*\n+(?=\W{0,3}(?:\w+ ){0,2}(?:answer|a|response)\W{0,3}:)", re.IGNORECASE
)
REMARK = re.compile(r"\n\s*[(*_]*(?:explanation|note|changes(?: made)?|reasoning|rationale)\s*[*_]*\s*:", re.IGNORECASE)


class Unparsable(ValueError):  # noqa: N818 (it states what the reply is)
    """A reply that can't be read. reason: one short phrase."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def parse_questions(reply: str) -> list[str]:
    """The questions of a reply, in its order, one a string, without numbers, labels and markdown.

    Reads numbered, bulleted, labelled and plain lines and JSON lists; a question mark isn't needed.
    Repeated questions are kept: a filter counts them. Raises Unparsable when there is none.
    """
    text = FENCE.sub("", reply).strip()
    if not text:
        raise Unparsable("empty reply")
    listed = _from_json(text)
    found = _from_lines(text) if listed is None else [_undress(question) for question in listed]
    questions = [question for question in found if re.search(r"\w", question)]
    if not questions:
        raise Unparsable("no question found")
    return questions


def parse_answer(reply: str) -> str:
    """The answer without label, surrounding quotes and fences. Raises Unparsable when nothing is left."""
    return _unlabel(QUESTION_ECHO.sub("", _unfenced(reply)), ANSWER_LABEL)


def parse_critique(reply: str) -> str:
    """The critique without label, surrounding quotes and fences. Raises Unparsable when nothing is left."""
    return _unlabel(_unfenced(reply), CRITIQUE_LABEL)


def parse_revision(reply: str) -> str:
    """As `parse_answer`, and without the remarks about their changes that models add below."""
    return parse_answer(REMARK.split(_unfenced(reply), maxsplit=1)[0])


def _from_json(text: str) -> list[str] | None:
    """The strings of a JSON (or Python) list, or its objects' "question" fields; None without a list."""
    match = JSON_LIST.search(text)
    if match is None:
        return None
    value: Any = None
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(match.group())
            break
        except (ValueError, SyntaxError):
            continue
    if not isinstance(value, list):
        return None
    items = [item.get("question") if isinstance(item, dict) else item for item in value]
    return [item for item in items if isinstance(item, str)]


def _from_lines(text: str) -> list[str]:
    """Marked lines and lines that read like a question; plain lines too where nothing else is there.

    What counts as marked: a number, a bullet, a label, or a label alone on the line above.
    """
    strong: list[str] = []
    plain: list[str] = []
    marked_above = False
    for raw in filter(None, map(str.strip, text.split("\n"))):
        line, marked = _unmark(raw)
        if not line:
            marked_above = True
            continue
        marked, marked_above = marked or marked_above, False
        line = TRAILING_ANSWER.sub("", line)
        if BESIDE_QUESTION.match(line) or CLOSING.match(line):
            continue
        asks = "?" in line or "\uff1f" in line
        if line.endswith((":", "\uff1a")) or (CHATTER.match(line) and not asks):
            continue
        parts = _split(line, numbered_only=marked)
        if marked or asks or OPENER.match(line):
            strong += parts
        else:
            plain += parts
    return strong or plain


def _unmark(line: str) -> tuple[str, bool]:
    """The line without heading, markers, labels and emphasis, and whether a marker or label stood there."""
    marked = False
    while True:
        before = line
        line = _undress(HEADING.sub("", line))
        for pattern in (MARKER, LABEL):
            shorter = pattern.sub("", line, count=1).strip()
            marked = marked or shorter != line
            line = shorter
        if line == before:
            return line, marked


def _undress(text: str) -> str:
    """Without markdown emphasis and quotes around the whole."""
    text = BOLD.sub(lambda match: match[1] or match[2], text.strip()).strip()
    text = ITALIC.sub(lambda match: match[1] or match[2], text)
    return _unquote(text)


def _unquote(text: str) -> str:
    """Without quotes around the whole; quotes that belong to words inside stay."""
    inner = text[1:-1]
    if len(text) > 2 and QUOTES.get(text[0]) == text[-1] and text[0] not in inner and text[-1] not in inner:
        return inner.strip()
    return text


def _split(line: str, numbered_only: bool) -> list[str]:
    """A line that holds several questions, one a string. An item that a model numbered is one question."""
    pieces = re.split(r"(?<=\?)\s+(?=\(?\d{1,2}[.)]\s)", line)
    if not numbered_only and len(pieces) == 1:
        pieces = re.split(r"(?<=\?)\s+(?=[A-Z\"\u201c].*\?)", line)
    return [_unmark(piece)[0] for piece in pieces]


def _unfenced(reply: str) -> str:
    return FENCE.sub("", reply).strip()


def _unlabel(text: str, label: re.Pattern[str]) -> str:
    """Without the label at its start, however it is emphasised, and without quotes around what is left."""
    head, newline, rest = text.partition("\n")
    if newline and rest.strip() and head.rstrip(" *_").endswith(":") and CHATTER.match(head):
        text = rest.strip()
    start = re.match(r"^[#*_\s]*([^:*_\n-]{1,60}(?:\s-|[*_]*:)[*_]*)\s*", text)
    if start and label.fullmatch(re.sub(r"[*_]", "", start[1])):
        text = text[start.end() :]
    whole = BOLD.fullmatch(text.strip())
    text = _unquote((whole[1] or whole[2]) if whole and "**" not in text[2:-2] else text.strip())
    if not re.search(r"\w", text):
        raise Unparsable("empty reply" if not text else "no words in the reply")
    return text
