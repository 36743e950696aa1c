"""The dress of a reply: code fences, thoughts, answer tags, headings, emphasis and quotes around the text itself."""

from __future__ import annotations

import re

FENCE = re.compile(r"^[ \t]*(?:```|~~~)[\w-]*[ \t]*$", re.MULTILINE)
BOLD = re.compile(r"\*\*(?=\S)(.+?)(?<=\S)\*\*|(?<!\w)__(?=[^\s_])(.+?)(?<=[^\s_])__(?!\w)")
ITALIC = re.compile(r"^\*(?=[^\s*])([^*]+)(?<=[^\s*])\*$|^_(?=[^\s_])([^_]+)(?<=[^\s_])_$")
HEADING = re.compile(r"^(?:#{1,6}|>)\s+")
QUOTES = {'"': '"', "'": "'", "“": "”", "‘": "’", "«": "»", "`": "`", "「": "」", "『": "』"}

THOUGHT_NAMES = (
    "think|thinking|thought|reason|reasoning|rationale|reflection|analysis|scratchpad|observation|summary|caption|plan"
)
THOUGHT = re.compile(rf"<(?P<name>{THOUGHT_NAMES})>.*?</(?P=name)>", re.IGNORECASE | re.DOTALL)
THOUGHT_END = re.compile(rf"^.*</(?:{THOUGHT_NAMES})>", re.IGNORECASE | re.DOTALL)
THOUGHT_START = re.compile(rf"<(?:{THOUGHT_NAMES})>", re.IGNORECASE)
TAGGED = re.compile(
    r"<(?P<name>(?:(?:final|revised|improved|corrected)_?)?(?:answer|response|output|revision|result)|final|conclusion)>(.*?)(?:</(?P=name)>|$)",
    re.IGNORECASE | re.DOTALL,
)
KIMI_TAG = re.compile(r"◁(/?\w+)▷")
CHANNEL = re.compile(r"<\|channel>thought\b.*?<channel\|>|\Athought\n+(?=.)", re.DOTALL)
"""A thought of Gemma 4. Where the tokenizer leaves out special tokens, only the name of an empty one is left."""
STRUCK = re.compile(r"~~(?=\S).+?~~[ \t]*")
"""Text that the model has struck out."""
TURN_END = re.compile(
    r"(?<=\w)(\W*?)\s*(?:<\|(?:im_end|end|eot_id|eom_id|endoftext|user)\|>|<end_of_turn>|</s>).*", re.DOTALL
)
"""The end of the reply's turn, which was written as text, and what the model wrote behind it."""
TOKEN = re.compile(r"<\|[^|>\s]{1,30}\|>|</?s>")
"""A special token that was written as text."""
STRAY = re.compile(r"</(?:answer|response|output|final|question)>", re.IGNORECASE)
TURN = re.compile(r"\n\s*(?:user|human|用户)\s*[:：]", re.IGNORECASE)
"""The user's next turn, which the model went on to write."""
ITEM = re.compile(r"^(?:[*+•]|[–—-](?!\s*\d)|#{1,6}|1[.)]|①)\s+(?=\S)|^1、")
"""The mark of a heading or a list, in front of a single line."""
ANNOUNCEMENT = re.compile(r"(?:here(?:['’]s| is| are)|below is|the following|my|this is|以下|下面)\b", re.IGNORECASE)
"""How a line begins that, with a colon at its end, announces the text below it."""


class Unparsable(ValueError):  # noqa: N818 (it states what the reply is)
    """A reply that can't be read. reason: one short phrase."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def visible(reply: str) -> str:
    """The reply's own text: what is left without thoughts, and inside the last answer tag where there is one.

    A chat template may open the thought in the prompt, so that the reply only closes it. Raises Unparsable for a
    thought that was never closed: what follows it was never written. The user's next turn is left out.
    """
    text = THOUGHT.sub(
        "", KIMI_TAG.sub(r"<\1>", STRUCK.sub("", TOKEN.sub("\n", TURN_END.sub(r"\1", CHANNEL.sub("", reply)))))
    )
    text = THOUGHT_END.sub("", text)
    if THOUGHT_START.search(text):
        raise Unparsable("a thought without an end")
    if tagged := list(TAGGED.finditer(text)):
        text = tagged[-1][2]
    text = TURN.split(FENCE.sub("", STRAY.sub("", text)).strip(), maxsplit=1)[0]
    return text.strip()


def undress(text: str) -> str:
    """Without Markdown emphasis and quotes around the whole."""
    text = BOLD.sub(lambda match: match[1] or match[2], text.strip()).strip()
    text = ITALIC.sub(lambda match: match[1] or match[2], text)
    return unquote(text)


def unquote(text: str) -> str:
    """Without quotes around the whole; quotes that belong to words inside stay."""
    inner = text[1:-1]
    if len(text) > 2 and QUOTES.get(text[0]) == text[-1] and text[0] not in inner and text[-1] not in inner:
        return inner.strip()
    return text


def sentences(text: str) -> list[str]:
    """A text cut behind its sentences' ends. Joined by blanks (none in Chinese), they are the text again."""
    return [part for part in re.split(r"(?<=[.!?])[\"”’)]?\s+|(?<=[。！？])", text.strip()) if part]


def whole_sentences(text: str) -> str:
    """A text that was cut off, up to the end of its last whole sentence or line; "" where it has none."""
    ends = [match.end() for match in re.finditer(r"[.!?][\"”’)*_]*(?=\s)|[。！？]|\n(?=\S)", text)]
    return text[: ends[-1]].strip() if ends else ""


def bare(text: str) -> str:
    """A text without an announcement above it, marks of a quotation, and emphasis and quotes around all of it.

    Raises Unparsable where no word is left.
    """
    head, newline, rest = text.strip().partition("\n")
    head = re.sub(r"^#+\s*|[*_]", "", head).strip()
    if newline and rest.strip() and head.endswith((":", "：")) and ANNOUNCEMENT.match(head):
        text = rest
    text = re.sub(r"^[ \t]*>[ \t]?", "", text, flags=re.MULTILINE).strip()
    if text.count("**") % 2 and text.endswith("**"):
        text = text[:-2].rstrip()  # what opened it was in front of a label
    text = re.sub(r"^\W*\n|\n\W*$", "", re.sub(r"^(?:[-=]>|→)\s*", "", text))
    paragraphs = re.split(r"\n\s*\n", text)
    if len(paragraphs) > 1 and len(set(paragraphs)) == 1:
        text = paragraphs[0]
    if "\n" not in text and not re.search(r"\s\(?2[.)]\s", text):
        text = ITALIC.sub(lambda match: match[1] or match[2], ITEM.sub("", text))
    whole = BOLD.fullmatch(text)
    text = unquote((whole[1] or whole[2]) if whole and "**" not in text[2:-2] else text)
    if not re.search(r"\w", text):
        raise Unparsable("empty reply" if not text else "no words in the reply")
    return text
