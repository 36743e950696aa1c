"""The labels in a reply, such as "**Revised answer (short):**" or "### 结论", and the sections below them.

A label is told by its words, whatever is around them: numbers, emphasis, brackets, emoji, a remark in parentheses.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["text", "answer", "draft", "question", "critique", "verdict", "conclusion", "remark", "thought"]
"""What a section holds. `text` has no label. A `draft` is an answer that is to be replaced, a `remark` is about an
answer, such as its reason. A `conclusion` is an answer or a verdict."""

CLAUSE = r"""(?:(?:based\ on|according\ to|given|considering|after|taking|with|without|using|following
        |from)\s[^,:：]{3,60},\s+
    |(?:根据|基于|按照|结合|综合)[^，,：:]{0,20}[，,]\s*)"""
CONSEQUENCE = "(?:(?:因此|所以|综上(?:所述)?|总之|总的来说)[，,]?)?"
BEGINNING = rf"""(?:(?:so|therefore|thus|hence|and|finally|overall|sure|okay|ok|certainly)[,!.]?\s+)*{CLAUSE}?
    (?:(?:here|this|that|below|it)(?:['’]s|\s+is|\s+are)\s+)?"""
NEW = r"(?!(?:an?|the|is|are|was|were|for|of|to|in|on|about|with|reasons?|why|changes?|explanations?)\b)\w[\w-]*"
OLD = r"""(?:proposed|original|previous|initial|given|first|provided|earlier|prior|old|existing|current|draft|suggested
    |incorrect|wrong)"""
NOUN = "(?:answer|response|reply|revision|version|draft|attempt)"
CHINESE_NEW = "(?:改进|改善|修改|修订|修正|更正|纠正|订正|优化|完善|最终|更好|更准确|更精确|正确|新|简短|简洁|完整)"
CHINESE_OLD = "(?:建议|提议|提出|原|原来|原始|原先|之前|先前|最初|初始|初步|旧)"

WORDS: dict[Kind, str] = {
    "draft": rf"""(?:(?:the|my|your)\s+)?(?:{OLD}\s+)+{NOUN}|(?:the\s+)?draft|original
        |{CHINESE_OLD}的?(?:答案|回答|回复|版本)|草稿|初稿|原文""",
    "answer": rf"""{BEGINNING}(?:(?:in|as)\s+)?(?:(?:the|my|a|an|your|our|its)\s+)?(?:{NEW}\s+(?:and\s+)?){{0,4}}{NOUN}
            (?:\s+of\s+(?:the|my|your)\s+(?:{OLD}\s+)?(?:answer|response|draft))?
            (?:\s+(?:to|for)\s+(?:the|your|this)\s+question)?
            (?:\s+(?:is|would\ be|could\ be|should\ be|might\ be|remains|stays|now|reads|the\ same|unchanged))*
            (?:\s+as\ follows)?
            (?:,?\s+(?:that|which|based\ on|taking|considering|given|after|incorporating|addressing|reflecting
            |following)\b
                .{{0,50}})?
        |(?:you|i|we|one)(?:['’]d|\s+(?:could|would|might|can|may))\s+(?:\w+\s+)?(?:say|answer|write|reply|respond
        |put\s+it)
            (?:\s+(?:that|as\s+follows|like\s+this|instead))?
        |(?:option|alternative|suggestion|possibility|variant)(?:\s+[A-C])?
        |{BEGINNING}(?:a|the)\s+(?:more\s+\w+|better|correct\w*)\s+(?:description|wording|statement)(?:\s+(?:is
        |would\ be))?
        |answer\s+(?:in|with|from)\s.{{0,40}}(?:sentences?|words?|video|clip)|(?:the\s+)?(?:question
        |answer)\b.{{0,40}}\bas\s+follows
        |(?:已|建议)(?:修改|更正|修正|改)为?|正确的?(?:说法|描述)(?:是|为)|应该?(?:是|为)
        |a|ans|final|here\s+you\s+go|better|fixed|rewrite|rephrased|revised|improved|corrected|correction|rewritten
        |updated|assistant
        |{CONSEQUENCE}(?:{CLAUSE})?(?:{CHINESE_NEW}*(?:之?后|过)?的?(?:答案|回答|回复)(?:是|为|如下)*
            |{CHINESE_NEW}+(?:(?:之?后|过)?的?(?:版本?|为|内容|结果)?))|答|助手""",
    "question": r"(?:the\s+)?(?:q|questions?|user|human)(?:\s+(?:is|was))?|(?:answer\s+)?(?:options|choices)"
    r"|问题?|题目|提问|用户|选项",
    "critique": r"""(?:here\ is\s+)?(?:(?:the|my|a|your)\s+)?(?:(?:short|brief|detailed|strict|overall)\s+)*
            (?:critique|criticism|critic|feedback|review|evaluation|assessment|notes\ on\ the\ draft|notes)
            (?:\s+of\s+the\s+(?:\w+\s+)?(?:answer|draft))?
        |(?:批评|评论|评价|评估|点评|反馈|批注)(?:意见)?|意见""",
    "verdict": r"""(?:(?:my|the)\s+)?(?:(?:final|overall)\s+)?(?:verdict|judge?ment|rating|correctness
            |assessment)
        |overall|(?:最终|总体)?(?:判定|判断|判决|裁决|总评|评判|裁定)""",
    "conclusion": r"(?:(?:my|the|in)\s+)?(?:final\s+)?(?:conclusion|summary)|(?:最终)?(?:结论|总结)",
    "remark": r"""explanations?|note|(?:key\s+)?changes?(?:\s+made)?|rationale|reasons?(?:\s+for\s.{{0,30}})?
        |justification|what\s+changed
        |corrections(?:\s+made)?|key\s+corrections?|evidence|confidence(?:\s+(?:score|level))?|comments?
        |reasons?\s+for\s.*|time(?:stamps?)?|frames?|source
        |disclaimer|p\.?s\.?|解释|解析|说明|注意?|备注|修改(?:说明|原因|之处)|理由|依据|原因|证据|置信度|时间戳""",
    "thought": r"""(?:my\s+)?(?:thoughts?|thinking|reasoning|thought\s+process|analysis|scratchpad|step[\s-]by[\s-]step
        (?:\s+\w+)?|chain\s+of\s+thought)|思考(?:过程)?|推理(?:过程)?|思路|分析""",
}
KINDS: list[tuple[Kind, re.Pattern[str]]] = [
    (kind, re.compile(words, re.IGNORECASE | re.VERBOSE)) for kind, words in WORDS.items()
]
ONE_LINE = frozenset(("draft", "question", "verdict"))
"""Sections that end with their line. The others end with the next label."""

PLACE = re.compile(r"(?P<line>\A|\n)|(?<=[.!?。！？])[\"”’)）*_]*[ \t]*(?=[A-Z*(（_\u4e00-\u9fff])")
"""Where a label may be: at the beginning of a line or behind a sentence."""

MARK = r"[^\w\n\"“”'‘’「『<{\\(（\[【]{0,12}+(?:\d{1,2}[.)、]\s{0,3})?+[*_]{0,3}+"
"""What is in front of a label. It is read in one way only: else a line of marks takes seconds."""
LABEL = re.compile(
    rf"""{MARK}(?:[\[【(（](?P<inside>[^\]】)）\n:：]{{1,50}})[\]】)）][*_]{{0,3}}\s?[:：]?[*_]{{0,3}}
    |[(（\[]?[*_]{{0,3}}+(?P<words>[^\n:：。！？|"“]{{1,110}}?)\s?(?:[(（][^()（）\n]{{0,60}}[)）])?[*_]{{0,3}}
        (?P<end>\s?(?:[:：]|[-=]>)[*_]{{0,3}}|\s[-–—](?=\s)|[ \t]*(?=\n)))[ \t]*""",
    re.VERBOSE,
)
NEW_HEADING = re.compile(
    r"(?:(?<=\n\n)\W{0,6}|\*\*|#+\s+)[\w'’-]+(?: [\w'’-]+){0,4}\*{0,2}[:：]"
    r"|(?:\*\*|#+\s+)[\w'’ -]{1,40}(?:\*\*)?[ \t]*\n"
)
"""A label of unknown words in a new paragraph, or with emphasis."""
ENDED = re.compile(r"[.!。！][\"”’)*_]*\s*$")
RULE = re.compile(r"[ \t]*(?:-{3,}|\*{3,}|_{3,})[ \t]*(?=\n|\Z)")


@dataclass(frozen=True)
class Section:
    """A part of a reply. text: without its label."""

    kind: Kind
    text: str


def kind_of(label: str) -> Kind | None:
    """What a label is above, by its words; None where they are no label."""
    bare = " ".join(re.sub(r"[*_#`]", " ", label).split())
    bare = re.sub(r"\s*(?:#?\d{1,2}|[一二三四五六])$", "", bare)
    return next((kind for kind, words in KINDS if words.fullmatch(bare)), None)


def sections(text: str) -> list[Section]:
    """The sections of a reply in their order, without empty ones."""
    found: list[Section] = []
    end = 0
    kind: Kind = "text"
    for place in PLACE.finditer(text):
        label = _label(text, place.end(), at_line=place["line"] is not None)
        if label is None or place.end() < end:
            continue
        found += _cut(kind, text[end : place.start()], first=not any(one.text for one in found))
        end, kind = label
    found += _cut(kind, text[end:], first=not any(one.text for one in found))
    return [section for section in found if re.search(r"\w", section.text)]


def without_label(text: str, kind: Kind) -> str:
    """A text without the label at its beginning, if there is one of this kind."""
    label = _label(text, 0, at_line=True)
    return text[label[0] :] if label and label[1] == kind else text


def _label(text: str, at: int, at_line: bool) -> tuple[int, Kind] | None:
    """The end and the kind of the label at a place of a text. Behind a sentence a label has a colon."""
    if at_line and at and RULE.match(text, at):
        return at, "remark"
    match = LABEL.match(text, at)
    kind = kind_of(match["inside"] or match["words"]) if match else None
    if match and kind is None and NEW_HEADING.match(text, at) and ENDED.search(text, 0, at):
        return match.end(), "remark"
    if match is None or kind is None:
        return None
    colon = (match["end"] or match[0]).strip(" *_").endswith((":", "：", ">"))
    if at and len(re.findall(r"[(（\[]", match[0])) > len(re.findall(r"[)）\]]", match[0])):
        return match.end(), "remark"  # all that is in the parentheses
    one_letter = len((match["words"] or "").strip("*_ ")) == 1
    if not colon and (not at_line or one_letter):
        return None
    return match.end(), kind


def _cut(kind: Kind, body: str, first: bool) -> list[Section]:
    """A section, and what is below its one line, or below the first paragraph of a reason that comes first."""
    if kind == "remark" and first:
        reason, _, rest = body.strip().partition("\n\n")
        return [Section(kind, reason), Section("text", rest.strip())]
    if kind not in ONE_LINE:
        return [Section(kind, body.strip())]
    head, _, rest = body.strip().partition("\n")
    if kind == "verdict":  # what is behind its sentence is about the clip
        said = re.match(r".*?(?:[.!。！](?=\s|$|[\u4e00-\u9fff])|$)", head)
        head, rest = (said[0], f"{head[said.end() :]}\n{rest}") if said else (head, rest)
    return [Section(kind, head.strip()), Section("text", rest.strip())]


def as_lines(text: str) -> str | None:
    """A JSON object, or a table of one row, as lines of labels and texts; None where a text is neither.

    Fields whose names are no labels are left out.
    """
    fields = _object(text) or _table(text)
    if fields is None:
        return None
    named = [(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", key).replace("_", " "), value) for key, value in fields]
    return "\n".join(f"{name}: {value}" for name, value in named if kind_of(name))


def _object(text: str) -> list[tuple[str, str]] | None:
    if not text.startswith(("{", '["')):
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            value: Any = read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(value, dict):
            return [(str(key), one) for key, one in value.items() if isinstance(one, str)]
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
            return [("answer", value[0])]
    return FIELD.findall(text) or None  # cut off, or with a mistake in it


FIELD = re.compile(r"\"([\w ]+)\"\s*:\s*\"((?:[^\"\\]|\\.)*)\"")


def _table(text: str) -> list[tuple[str, str]] | None:
    rows = [list(_cells(line)) for line in text.splitlines() if line.strip()]
    if len(rows) < 2 or not all(line.strip().startswith("|") for line in text.splitlines() if line.strip()):
        return None
    rows = [row for row in rows if not all(re.fullmatch(r":?-+:?", cell) for cell in row)]
    if len(rows) == 2 and any(map(kind_of, rows[0])):
        return list(zip(*rows, strict=False))
    return [(row[0], row[1]) for row in rows if len(row) == 2]


def _cells(line: str) -> Iterator[str]:
    return (cell.strip() for cell in line.strip().strip("|").split("|"))
