"""A reply to the critique in it, and a critique to its verdict on the answer."""

from __future__ import annotations

import re
from typing import Literal

from savi.prompts.answers import FAREWELL, PREFACE
from savi.prompts.labels import without_label
from savi.prompts.markup import Unparsable, bare, visible
from savi.prompts.refusals import refuses
from savi.prompts.talk import EARLIER

Verdict = Literal["right", "wrong"]

LABELED = re.compile(
    r"""(?<![a-z])(?:verdict|conclusion|judge?ment|overall|assessment|rating|correctness|结论|判定|判断|判决|裁决|总评|评判|裁定)
    (?:\*\*|[*_"\s>\])】])*(?:[:：>=]|(?<=[】\]])|[-–—](?=\s)|\n\s*(?=\W*\w)|\bis\b(?:\ that\b)?|是)
    [*_"\s]*(?P<said>[^\n]*)""",
    re.IGNORECASE | re.VERBOSE,
)
BOXED = re.compile(r"\\boxed\{(?P<said>[^{}\n]*)")
FAULTS = r"""(?:errors?|mistakes?|inaccurac(?:y|ies)|issues?|problems?|omissions?|hallucinations?|inconsistenc(?:y|ies)
    |discrepanc(?:y|ies)|contradictions?|faults?|flaws?|corrections?|changes?|revisions?|improvements?)"""
ANSWER = rf"(?:{EARLIER}\ )?(?:answer|response|reply|draft)"
STATED = [
    re.compile(pattern, re.IGNORECASE | re.VERBOSE)
    for pattern in (
        rf"""(?<!nothing\ in\ )(?<!none\ of\ )(?<!part\ of\ )(?<!whether\ )(?<!if\ )
            \b(?:the|this|your|its|that)\ {ANSWER}(?!\ (?:says|states|claims|mentions|suggests|gives|describes)\b)
            (?:\ (?:seems|appears)\ to\ be)?(?P<said>[^\n.;!?]*+)(?!\?)""",
        r"(?<!如果)(?<!若)(?:答案|回答|草稿)(?!说|称|提到|给出|是否)(?:是)?(?P<said>[^\n。；！？]*+)(?!？)",
        rf"""\b(?P<said>(?:contrary\ to|unlike|nothing\ in|none\ of|no\ part\ of)
            \ (?:the|this)\ {ANSWER}(?:\ is\ \w+)?)""",
        rf"""\b(?:the|this)\ {ANSWER}\ (?:says|states|claims|suggests)[^\n.;!?]*,
            \ (?P<said>(?:which|but\ this)\ is[^\n.;!?]*)""",
        rf"\bi\ (?:\w+ly\ )?(?P<said>(?:dis)?agree)\ with\ (?:the|this)\ {ANSWER}",
        rf"(?:^|(?<=[\n.;!?]))(?P<said>[^\n.;!?]*\b{FAULTS})\ (?:\w+\ )?(?:in|with)\ (?:the|this)\ {ANSWER}",
        rf"""(?:^|\n|[.!?。]\s)\W{{0,8}}(?P<said>(?:in)?correct|right|wrong|(?:in)?accurate|true|false
            |no\ (?:factual\ )?{FAULTS}(?:\ found)?|不?正确|错误|不?对)\W{{0,8}}?(?=$|\n|[.!。])""",
    )
]
"""Plain statements on the answer."""

FAULTLESS = re.compile(
    rf"""(?:\b(?:no|not|never|without|free\ of|neither|nothing|zero)|n['’]t)\b
        (?:\ (?:(?!correct|right|accurate|true)\w+)){{0,3}}
        \ (?:{FAULTS}|wrong|incorrect|inaccurate|missing|false|contradict\w*|miss(?:es|ed)?|omit\w*|nor\ wrong)\b
        (?:\ (?:are|is|needed|necessary|required|found))*
    |\b(?:error|mistake|fault)s?-free\b|\bfault?less\b|\bflawless\b
    |(?:没有?|并?无|未发现|不存在|不需要?|无需)(?:任何|明显)?的?(?:错误|问题|遗漏|不准确|矛盾|修改|更正)|无误|不错""",
    re.IGNORECASE | re.VERBOSE,
)
"""That nothing is wrong, which has words of WRONG in it."""

WRONG = re.compile(
    rf"""(?:\b(?:not|cannot|never|hardly|far\ from)|n['’]t)\ (?:\w+\ ){{0,2}}
        (?:(?:correct|right|accurate|faithful)(?:ly)?|true|valid|what|match\w*|align\w*|agree\w*|consistent|supported|reflect\w*|complete|support)\b
    |\b(?:incorrect(?:ly)?|wrong(?:ly)?|inaccurate(?:ly)?|false(?:ly)?|mistaken(?:ly)?|flawed
    |incomplete|unsupported|erroneous(?:ly)?|inconsistent|invalid|contradict\w*|contrary|unlike
    |(?:nothing|none|no\ part)\ (?:in|of)\ .*\b(?:correct|right|accurate|true)
    |partial(?:ly)?|partly|mostly|almost|nearly|half|largely
    |fail(?:s|ed)?|omit\w*|omission|miss(?:es|ed|ing)?|lacks?|overlook\w*|misidentif\w*|overstat\w*|reject(?:ed)?|disagree
    |vague(?:ly)?|imprecise|ambiguous|misleading|insufficient|inadequate|exaggerat\w*|oversimplif\w*
    |(?:could|should)\ (?:be|have\ been)\ (?:\w+\ )?(?:improved|corrected|revised|changed|clearer|more)
    |too\ (?:vague|general|broad)
    |{FAULTS}|needs?\ (?:to\ be\b|\w*\ ?(?:correction|revision|improvement)))\b
    |错|(?:不|没有?|未|并非)(?:太|够|完全|十分|很|能|是|怎么|大){{0,2}}(?:正确|准确|对|符合|一致)
    |有误|部分|不完整|遗漏|缺少|不符|矛盾|不完全|[❌✗✘🚫⚠]""",
    re.IGNORECASE | re.VERBOSE,
)
RIGHT = re.compile(
    r"""\b(?:(?<!on\ the\ )(?<!to\ the\ )(?<!moves\ )(?<!turns\ )(?<!left\ to\ )
        right(?!-|\ (?:side|hand|of|corner|edge)\b)
    |correct(?:ly)?|accurate(?:ly)?|true|valid|faithful(?:ly)?|perfect|match(?:es)?|agrees?|aligns?|consistent
    |supported|in\ line|spot[\ -]on|fine|acceptable|approved?)\b
    |正确|准确|符合|一致|^\W*对\s*(?:的)?\s*[。！]?\s*$|[✅✔☑]""",
    re.IGNORECASE | re.VERBOSE,
)
NEITHER = re.compile(
    r"""\bneither\ (?:right|wrong|correct|incorrect)\ nor\b
    |\b(?:right|correct)\b\W*(?:or|/|\|)\W*(?:verdict\W*)?(?:wrong|incorrect)
    |\bnot\ (?:sure|certain|clear)\b
    |\b(?:would|could|might|may)\ (?:(?!more\ )\w+\ ){0,2}(?:(?:in)?(?:correct|accurate)|right|true|wrong|false)\b
    |正确(?:还是|或|/)错误""",
    re.IGNORECASE | re.VERBOSE,
)
"""No verdict: both words, or doubt."""

BUT = re.compile(
    r"(?:^|[.!;。！\s])(?:however|but|although|though|yet|except|但是?|不过|然而)(?=[\s,，]|[\u4e00-\u9fff])", re.I
)


def parse_critique(reply: str) -> str:
    """The critique without label, quotes and fences. Raises Unparsable."""
    text = PREFACE.sub("", visible(reply))
    if refuses(text):
        raise Unparsable("a refusal")
    return bare(without_label(FAREWELL.sub("", text), "critique"))


def read_verdict(critique: str) -> Verdict | None:
    """The verdict on the answer: the last labeled one, else the last plain statement; None without one.

    An answer that is right in part is wrong: something in it has to change.
    """
    labeled = [match["said"] for pattern in (BOXED, LABELED) for match in pattern.finditer(critique)]
    for said in labeled[::-1]:
        if NEITHER.search(said):
            return None
        if verdict := _judged(said):
            return verdict
    stated = [match for pattern in STATED for match in pattern.finditer(critique)]
    for match in sorted(stated, key=lambda match: match.start("said"), reverse=True):
        if not NEITHER.search(match["said"]) and (verdict := _judged(match["said"])):
            contrasted = BUT.search(critique, match.end())
            return "wrong" if contrasted and WRONG.search(critique, contrasted.end()) else verdict
    return None


def _judged(said: str) -> Verdict | None:
    """The verdict of a statement: wrong where anything in it is wrong."""
    rest, faultless = FAULTLESS.subn(" ", said)
    if WRONG.search(rest):
        return "wrong"
    if faultless or RIGHT.search(rest):
        return "wrong" if BUT.search(rest) else "right"
    return None
