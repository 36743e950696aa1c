"""A reply to the critique in it, and a critique to its verdict on the answer."""

from __future__ import annotations

import re
from typing import Literal

from savi.prompts.answers import EARLIER, FAREWELL, LABEL_START, PREFACE, REFUSAL
from savi.prompts.markup import Unparsable, unlabel, visible

Verdict = Literal["right", "wrong"]

CRITIQUE_LABEL = re.compile(
    rf"""^(?:{LABEL_START}(?:critique|criticism|critic|feedback|review|evaluation|assessment|analysis)
        (?:\s+of\ the\ (?:proposed\ )?answer)?\s*(?:\s[-–—]|[:：])
    |(?:批评|评论|评价|评估|点评|反馈|分析)(?:意见)?\s*[:：])\s*""",
    re.IGNORECASE | re.VERBOSE,
)
CRITIQUE_HEADING = re.compile(
    rf"^(?:{LABEL_START}(?:critique|criticism|feedback|review|evaluation|assessment)|批评|评论|评价)$",
    re.IGNORECASE | re.VERBOSE,
)
LABELED = re.compile(
    r"""(?:verdict|conclusion|judge?ment|overall|final\ assessment|assessment|rating|结论|判定|判断|总评)
    [*_\s]*[:：][*_\s]*(?:the\ (?:proposed\ )?answer\ is\s+|答案(?:是)?)?[*_]*(?P<said>[^\n]*)""",
    re.IGNORECASE | re.VERBOSE,
)
STATED = re.compile(
    rf"""\b(?:the|this|your)\ (?:{EARLIER}\ )?(?:answer|response)\ (?:is|was|seems|appears)(?:\ to\ be)?
        \s+(?P<said>[^\n.;]*)
    |(?:答案|回答)(?:是)?(?P<chinese>[^\n。；]*)""",
    re.IGNORECASE | re.VERBOSE,
)
WRONG = re.compile(
    r"""(?<!not\ )\b(?:incorrect|wrong|inaccurate|false|mistaken|flawed|misleading|incomplete|unsupported|erroneous
    |partially|partly|mostly|not\ (?:\w+\ )?(?:correct|right|accurate|true)
    |needs?\ (?:correction|revision|improvement))\b
    |错误|不正确|不准确|有误|不对|部分""",
    re.IGNORECASE | re.VERBOSE,
)
RIGHT = re.compile(
    r"\b(?:correct|right(?!-)|accurate|true|valid|no errors?|no issues?|not (?:wrong|incorrect))\b"
    r"|正确|准确|无误|^\s*对\s*[。！]?$",
    re.IGNORECASE,
)


def parse_critique(reply: str) -> str:
    """The critique without label, quotes and fences. Raises Unparsable."""
    text = PREFACE.sub("", visible(reply))
    if REFUSAL.match(text):
        raise Unparsable("a refusal")
    return unlabel(FAREWELL.sub("", text), CRITIQUE_LABEL, CRITIQUE_HEADING)


def read_verdict(critique: str) -> Verdict | None:
    """The verdict on the answer: the last labeled one, else the last plain statement; None without one.

    An answer that is right in part is wrong: something in it has to change.
    """
    labeled = [match["said"] for match in LABELED.finditer(critique)]
    stated = [match["said"] or match["chinese"] or "" for match in STATED.finditer(critique)]
    for said in [*labeled[::-1], *stated[::-1]]:
        if WRONG.search(said):
            return "wrong"
        if RIGHT.search(said):
            return "right"
    return None
