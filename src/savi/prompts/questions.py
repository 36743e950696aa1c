"""A reply to the questions in it. Text that doesn't have the form of a question is left out: it would be answered.

A question ends in a question mark, begins as questions begin, or asks in the imperative. Options stay with their
question, each on a line of its own; an answer or an explanation next to a question goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from savi.prompts.exchange import without_exchange
from savi.prompts.json_questions import questions_in_json
from savi.prompts.markup import HEADING, QUOTES, Unparsable, undress, visible
from savi.prompts.options import OPTION, inline_options, options_in
from savi.prompts.question_form import (
    ASKING,
    CHINESE,
    IMPERATIVE,
    NEXT_TO_QUESTION,
    OPENING,
    QUESTION_MARK,
    REFUSAL,
    TO_THE_USER,
    asks_nothing,
    is_question,
    last_asked,
)
from savi.prompts.refusals import refuses

DASH = "[-–—]"
MARKER = re.compile(
    rf"""^(?:(?:[*+•‣◦·▪►➤✅🔹]|{DASH})\s+  # a bullet
       | [\[(]?\d{{1,2}}\s*\\?[.):\]](?!\d)\s*  # 1.  1)  (1)  1:  1\.   but not 1.5 or 10:30
       | [（(]?\d{{1,2}}\s*[、．）]\s*  # 1、 （1）
       | [（(]?[一二三四五六七八九十]{{1,2}}\s*[、．.）)]\s*  # 一、 （二）
       | [①-⑳❶-❿]\s*
       | \d\N{{VARIATION SELECTOR-16}}?\N{{COMBINING ENCLOSING KEYCAP}}\s*
       | \d{{1,2}}\s+(?:{DASH}\s+|(?=(?-i:What|Which|Who|Whose|Where|When|Why|How|Is|Are|Does|Did)\b))  # 1 -  1
       | \#\d{{1,2}}[.:]?\s+  # #1
       | [\[(（]\d{{1,2}}:\d{{2}}(?:\s*{DASH}\s*\d{{1,2}}:\d{{2}})?[\])）]\s*(?:{DASH}|:)?\s*  # [0:03]
       | \(?(?:[a-z]|[ivx]{{1,4}})[.)]\s+  # a)  (b)  ii)  III.
       | q\d{{0,2}}\s*(?:\((?:spatial|temporal)\))?\s*[:：.)]\s*  # Q:  Q1:  Q1 (spatial):
       | q{DASH}?\d{{1,2}}\s*(?:{DASH}|>|:|：)?\s+  # Q1 -  Q-1:  Q1>  Q1
       )""",
    re.VERBOSE | re.IGNORECASE,
)
ASPECT = r"(?:spatial|temporal|空间|时间|时序)"
ORDINAL = "(?:first|second|third|fourth|fifth|sixth|next|another|last)"
LABEL = re.compile(
    rf"""^(?:(?:the\ )?{ORDINAL}\s+question|[\[(（【]?{ASPECT}[\])）】]?
            (?:[\s-]+(?:reasoning|understanding|relations?|order))*(?:\s*(?:questions?|问题|推理))?
        |{ORDINAL}(?=\s*[:：])|easy|medium|hard|moderate|difficult|challenging
        |(?:the\ |my\ |your\ |final\ )*questions?|问题|提问|问|第\s*[\d一二三四五六]+\s*[题问]个?|assistant)
    \s*(?:\#?\d{{1,2}}|[一二三四五六])?(?:\s*[(（][^()（）?？\n]{{1,30}}[)）])?(?:\ (?:is|are))?
    \s*(?:[:：.)]\s*|{DASH}\s+|$|(?<=[\])）】])\s*(?=(?-i:[^a-z?？\s])|$))""",
    re.IGNORECASE | re.VERBOSE,
)
BRACKETED = re.compile(
    r"^(?:[\[【][^\]】?？\d\n]{1,30}[\]】](?=\W*\w)|[(（][\w-]+(?: [\w-]+)?[)）](?=\s*(?-i:[A-Z]))"
    r"|[\[【(（](?:question|q|问题|问|题目?|第)\s*[\d一二三四五六]*\s*[题问]?[\]】)）])\s*[:：]?\s*",
    re.IGNORECASE,
)
ITALIC_LABEL = re.compile(r"^([*_])(?=\S)([^*_\n]{1,40})(?:[:：]\1|\1[:：])\s*(?=\S)")
TOPIC = re.compile(
    r"^(?!(?:At|In|On|From|During|After|Before|When|While|Between|By|Towards?|Until|Throughout|Once|Near)\b"
    r"|\w+ (?:the|an?|this)\b)"
    r"(?:[A-Z][\w'-]*(?:[\s/&,-]+(?:and |of |in |the )?[\w'-]+){0,3}(?:\s*\([^)?]{1,30}\))?\s*:\s+"
    r"|(?!在|当|从)[\u4e00-\u9fff、与和/（）()]{1,14}[:：]\s*)(?=\S)"
)
"""A heading of a few words in front of a listed question: "Object placement: Where is …"."""
CHATTER = re.compile(
    r"""^(?:sure|certainly|of\ course|okay|ok|absolutely|great|here\ (?:are|is)|here's|below\ (?:are|is)|i\ hope|i\ have
    |let\ me|the\ following|these\ questions?|this\ question|based\ on|note\ that|feel\ free
    |好的|当然|以下|下面|希望|根据)(?!\w*')\b""",
    re.IGNORECASE | re.VERBOSE,
)

FOR_INSTANCE = r"(?:one|a|another|my)\ (?:\w+\ )?question\ (?:is|(?:c|w)ould\ be|might\ be)"
ANNOUNCED = re.compile(rf"(?:{CHATTER.pattern}|{FOR_INSTANCE})[^?？:：]{{0,60}}[:：]\s*(?=\S)", CHATTER.flags)
"""Words to the user in front of a question: "Sure, here you go: Where is …"."""

TAGGED = re.compile(r"<question>(.*?)</question>", re.IGNORECASE | re.DOTALL)
TAG = re.compile(r"</?(?:q\d*|questions?|items?|li|ol|ul|p|br|spatial|temporal)\b[^>\n]*>", re.IGNORECASE)
ANSWERS = re.compile(r"^(?:#+ )?(?:the )?(?:answers|answer key|solutions|参考答案)\s*[:：]?$", re.IGNORECASE)
"""A heading below which there are answers alone."""
IN_PARENTHESES = re.compile(r"([?？])[*_]*\s*[(（](?![A-Ha-h][)）])[^()（）]*[)）]?\W*$")
"""A remark behind a question."""
ASKED = re.compile(rf"^[^?？:：]{{10,}}\bquestions?\b[^?？:：]*[:：]\s*(?=(?:{ASKING})\b)", re.IGNORECASE)
"""What leads to a question at the end of a line."""
QUOTED = re.compile(r"[\"“]([^\"“”]+[?？])[\"”]")
INLINE = re.compile(
    rf"(?:(?<=[?.!:])[ \t]+|(?<=[？。！])[ \t]*)"
    rf"(?=[*_]*(?:question|answer|问题|答案|{ASPECT})\s*\d*\s*(?:[:：]|{DASH}\s)|\(?\d{{1,2}}[.)]\s+\S)",
    re.IGNORECASE,
)
"""In front of a label in the middle of a line: "Where is it? Answer: here. Question: Who …"."""
WRAPPED = re.compile(r"(?<=[,，、])[ \t]*\n[ \t]*(?=[a-z\u4e00-\u9fff])")
"""A line's end inside a sentence."""
USER = re.compile(r"^(?:user|human|用户)\s*[:：]", re.IGNORECASE)


def parse_questions(reply: str, strict: bool = True) -> list[str]:
    """The questions of a reply, in its order, one a string, without numbers, labels and Markdown.

    Reads numbered, bulleted, labelled and plain lines, tables and JSON. Repeated questions are kept: a filter counts
    them. strict: a line must have the form of a question; otherwise marked lines, and plain ones where nothing else
    is there, are taken as they are. Raises Unparsable where there is none.
    """
    text = "\n".join(asked) if (asked := TAGGED.findall(reply)) else visible(reply)
    text = WRAPPED.sub(" ", TAG.sub("\n", text)).strip()
    if not text:
        raise Unparsable("empty reply")
    if refuses(text):
        raise Unparsable("a refusal")
    listed = questions_in_json(text)
    found = _from_lines(text, strict) if listed is None else [undress(question) for question in listed]
    questions = [question for question in found if re.search(r"\w", question) and (not strict or is_question(question))]
    if not questions:
        raise Unparsable("a refusal" if REFUSAL.match(text) else "no question found")
    return questions


def _from_lines(text: str, strict: bool) -> list[str]:
    """Lines that ask, with the options below them.

    What counts as marked: a number, a bullet, a label, or a label alone on the line above.
    """
    asked: list[str] = []
    listed: list[bool] = []
    options: dict[int, list[str]] = {}
    plain: list[str] = []
    marked_above = False
    for raw in _cells(text):
        if len(asked) > 1 and ANSWERS.match(undress(raw)):
            break
        if asked and (below := options_in(raw)):
            options.setdefault(len(asked) - 1, []).extend(below)
            continue
        line, marked = _unmark(raw)
        if not line:
            marked_above = True
            continue
        marked, marked_above = marked or marked_above, False
        try:
            line = without_exchange(line, asks_nothing)
        except Unparsable:
            continue
        if NEXT_TO_QUESTION.match(line) or TO_THE_USER.match(last_asked(line)) or USER.match(raw):
            continue
        asks = bool(QUESTION_MARK.search(line))
        if line.endswith((":", "：")) or (not asks and (CHATTER.match(line) or REFUSAL.match(line))):
            continue
        parts = _split(line, marked) if asks else [line]
        if strict:
            parts = [_without_answer(part) for part in parts]
        if asks or (marked and not strict) or is_question(line):
            asked += parts
            listed += [marked] * len(parts)
        elif not strict:
            plain += parts
    # A single "A: …" below a question is its answer.
    with_options = {index: lines for index, lines in options.items() if len(lines) > 1}
    found = ["\n".join([line, *with_options.get(index, [])]) for index, line in enumerate(asked)]
    # Next to a list, other lines think about it or talk to the user. The prompt may have led to its first line, though.
    first = listed.index(True) if any(listed) else len(listed)
    return [
        line
        for index, line in enumerate(found)
        if first == len(listed) or listed[index] or (index == 0 and OPENING.match(line) and text.startswith(line[:20]))
    ] or plain


def _cells(text: str) -> Iterator[str]:
    """Lines, cut in front of labels inside; of a table's row, the first cell that asks."""
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("|") and line.count("|") > 1:
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            asking = [cell for cell in cells if QUESTION_MARK.search(cell)]
            if asking:
                yield asking[0]
        else:
            line = ASKED.sub("", line)
            if re.match(r"[^\"“?？]*[:：]\s*[\"“]", line) and (quoted := QUOTED.findall(line)):
                yield from quoted
                continue
            parts = INLINE.split(undress(line))  # emphasis may go over the label
            yield from parts if len(parts) > 1 else [line]


def _unmark(line: str) -> tuple[str, bool]:
    """The line without heading, markers, labels and emphasis, and whether there was a marker or label."""
    marked = False
    while True:
        before = line
        line = ITALIC_LABEL.sub(r"\2: ", undress(HEADING.sub("", line)))
        for pattern in (BRACKETED, MARKER, LABEL):
            shorter = pattern.sub("", line, count=1).strip()
            marked = marked or shorter != line
            line = shorter
        topic = TOPIC.match(line) if marked else ANNOUNCED.match(line)
        if topic and not _opens(line[: topic.end()]) and _opens(line[topic.end() :]):
            line = line[topic.end() :]
        if line == before:
            return line, marked


def _opens(line: str) -> bool:
    return bool(OPENING.match(line) or CHINESE.search(line))


def _split(line: str, marked: bool) -> list[str]:
    """The questions of a line, one a string, without the answers between them. An item of a list is one question."""
    pieces = re.split(r"(?<=[?？.!。;；])\s+(?=\(?\d{1,2}[.)]\s)", line)
    if len(pieces) > 1:
        return [part for piece in pieces for part in _split(_unmark(piece)[0], True)]
    if not marked:
        pieces = re.split(r"(?<=[?？])\s+(?=[A-Z\"“].*[?？])|(?<=？)(?=\S.*？)", line)
        parts = [_asking_part(piece, index) for index, piece in enumerate(pieces)]
        if len(parts) > 1 and all(map(_opens, parts[1:])):
            return [part for piece in parts for part in _split(piece, True)]
    return [line]


def _asking_part(piece: str, index: int) -> str:
    """A later piece of a line may begin with the answer to the question before it."""
    *stated, last = re.split(r"(?<=[.!])\s+", piece)
    return last if index and stated else piece


def _without_answer(line: str) -> str:
    """A question's line up to its last question mark, with options behind it if there are any."""
    line = IN_PARENTHESES.sub(r"\1", line)
    end = [match.end() for match in QUESTION_MARK.finditer(line)][-1:]
    if not end:
        return line
    rest = line[end[0] :]
    question = _without_lone_quote(line[: end[0]])
    if re.match(r"[\"”’'）)]*(?:\s*$|[\"”’']\s*\w)", rest) and rest.strip():
        return line  # the mark is inside quotes, or closes them
    rest = rest.strip(' "”')
    if OPTION.match(rest) and len(inline_options(rest)) > 1:
        return "\n".join([question, *inline_options(rest)])
    return f"{question} {rest}" if IMPERATIVE.match(rest) else question


def _without_lone_quote(line: str) -> str:
    """Without an opening quote whose other half came behind the question."""
    return line[1:] if line[:1] in QUOTES and QUOTES[line[0]] not in line[1:] else line
