"""A reply to the critique in it, and a critique to its verdict on the answer."""

from __future__ import annotations

import re

from savi.prompts.answers import FAREWELL, PREFACE
from savi.prompts.exchange import is_exchange, without_exchange
from savi.prompts.judgments import BUT, ERRORS, FAULTS, NEITHER, WRONG, Verdict, judged
from savi.prompts.labels import without_label
from savi.prompts.markup import Unparsable, bare, visible
from savi.prompts.refusals import refuses
from savi.prompts.talk import EARLIER

LABELED = re.compile(
    r"""(?<![a-z])(?:verdict|conclusion|final\ answer|judge?ment|overall|assessment|rating|correctness|结论|判定
        |判断|判决|裁决|总评|评判|裁定)
    (?:\s*\([^)\n]*\))?(?:\*\*|[*_"\s>\])】])*(?:[:：>=]|(?=\b(?:right|wrong|(?:in)?correct)\b)|(?<=[】\]])
        |[-–—](?=\s)|\n\s*(?=\W*\w)|\bis\b(?:\ that\b)?|是)
    [*_"\s]*(?P<said>[^\n]*)""",
    re.IGNORECASE | re.VERBOSE,
)
BOXED = re.compile(r"\\boxed\{(?P<said>[^{}\n]*)")
ANSWER = rf"(?:{EARLIER}\ )?(?:answer|response|reply|draft|statement|claim|description)"
START = r"(?:^|(?<=[\n.;!?]))"
CLAUSE = r"[^\n.;!?]*"
SAYS = "(?:says|states|claims|mentions|suggests|gives|describes|asserts|puts|places|names)"
NOT = r"\b(?:(?:does|do|did|is|are|was)(?:\ not|n['’]t)|not|never|cannot|can['’]t)"
SUPPORTS = r"""\b(?:(?:dis)?agree|support|confirm|back|verif|match|align|correspond|contradict|refut|disprov
        |conflict)\w*
    |\b(?:in)?consistent|\bin\ line"""
STATED = [
    re.compile(pattern, re.IGNORECASE | re.VERBOSE)
    for pattern in (
        rf"""\b(?:the|this|your|its|that)\ {ANSWER}(?!\ (?:says|states|claims|mentions|suggests|gives|describes)\b)
            (?:\ (?:seems|appears)\ to\ be)?(?P<said>{CLAUSE}+)(?!\?)""",
        r"(?<!正确的)(?:答案|回答|草稿|(?:该|这个)(?:说法|描述))(?!说(?![对错])|称|提到|给出|是否)(?:是)?(?P<said>[^\n。；！？]*+)(?!？)",
        rf"""\b(?P<said>(?:contrary\ to|unlike|nothing\ in|none\ of(?:\ the\ \w+\ in)?|no\ part\ of)
            \ (?:the|this)\ {ANSWER}(?:\ is\ \w+)?)""",
        rf"""\b(?:the|this|your)\ {ANSWER}\ {SAYS}\b{CLAUSE}?
            (?P<said>,\ (?:which|but|whereas|while|although)\b{CLAUSE}|\b(?:instead|rather\ than)\b)""",
        rf"\b(?:the|this|your)\ {ANSWER}\ {SAYS}\ (?P<said>(?:(?:exactly|just)\ )?the\ (?:same|wrong)\b)",
        rf"(?P<said>(?:\b(?:but|yet|while|whereas|although)|\bnot\b{CLAUSE})\ (?:as\ )?the\ {ANSWER}\ {SAYS})\b",
        rf"(?P<said>\bas\ the\ {ANSWER}\ (?:\w+ly\ )?{SAYS})\b",
        r"(?P<said>(?:[而但却]|不像|不同于|不是|正?如)是?[^\n，。；！？]{0,6}(?:答案|回答)所?(?:说|称|提到|认为|写))",
        r"(?:答案|回答)(?:说|称|提到|认为|写)[^\n。；！？]*[，,](?P<said>[而但却]|实际)",
        r"(?P<said>不?(?:支持|证实|符合))(?:该|这个|建议的)*(?:答案|回答)",
        r"(?P<said>(?:没有|未)(?:发现|看到|找到)[^\n。；！？]*(?:错误|问题|遗漏))",
        rf"""(?P<said>(?:\bnothing\b{CLAUSE}\ |{NOT}\ )?(?:{SUPPORTS})(?:\ (?:with|to|by))?)
            \ (?:the|this|your)\ {ANSWER}""",
        rf"""\b(?:it|this|that|which)(?:\ is|['’]s)\ (?P<said>(?:(?:not|\w+ly)\ )?(?:(?:in)?correct|right|wrong
            |(?:in)?accurate|(?:un)?true|false)\b(?!\ (?:that|to|person|way|one)\b){CLAUSE})""",
        r"""(?:is|was|['’]s)\ (?P<said>(?:not\ )?(?:the|an?)\ (?:\w+ly\ )?(?:(?:in)?correct|(?:in)?accurate|right|wrong)
            \ (?:answer|description|account|summary))\b""",
        rf"""{START}\W{{0,8}}(?P<said>(?:not\ )?(?:all|everything)\b{CLAUSE}\b(?:correct|accurate|right|wrong|match\w*
        |consistent)\b
            |(?:nothing|something)\ (?:\w+\ )?is\ (?:missing|wrong|incorrect|left\ out|omitted)\b)""",
        r"""\b(?P<said>(?:is|are)\ (?:(?:in)?correctly\ (?:described|identified|stated|named)
            |(?:described|stated)\ (?:in)?correctly))\b""",
        rf"{START}\W{{0,8}}it\ (?P<said>(?:contains|has|makes)\ {CLAUSE}\b{ERRORS})",
        rf"""{START}\W{{0,8}}it\ (?P<said>(?:fails|omits|misses|lacks|ignores|overlooks|leaves\ out|contradicts|mis\w+
            |does(?:\ not|n['’]t)\ (?:mention|match))\b)""",
        rf"{START}(?P<said>{CLAUSE}\b(?:{FAULTS}|wrong))\ (?:\w+\ )?(?:in|with)\ (?:the|this)\ {ANSWER}",
        rf"""{START}\W{{0,8}}(?:i|we)\ (?P<said>(?:\w+(?:\ not|n['’]t)\ |can\ |could\ )?
            (?:find|found|see|spot|detect|notice|identif\w+)\ {CLAUSE}\b{ERRORS})""",
        rf"""{START}\W{{0,8}}there\ (?P<said>(?:is|are|were|was)\ (?:{CLAUSE}\b{ERRORS}|no\ {CLAUSE}\b{FAULTS}
            |no\ evidence\ for\ the\ {ANSWER}))""",
        rf"""(?:^|\n|[.!?]\s|(?<=[。！？]))\W{{0,8}}(?:(?:yes|no|indeed)[,.]\s)?(?:i(?:['’]d|\ would)\ say:?\ )?
            (?:(?:that|this|it)(?:\ is|['’]s)\ )?
            (?P<said>(?:(?:not|\w+ly)\ )?(?:(?:in)?correct|right|wrong|(?:in)?accurate|true|false|perfect)(?:\ answer)?
            |no\ (?:factual\ )?{FAULTS}(?:\ (?:are\ |were\ )?(?:found|needed|necessary|required))?
            |needs\ (?:correction|revision|improvement)|不?正确|错误|不?对
            |没有?(?:任何)?(?:问题|错误))\W{{0,8}}?(?=$|\n|[.!。])""",
        rf"""{START}\W{{0,8}}(?:(?:it|that|this|everything|all)\ )?looks\ (?P<said>(?:right|(?:in)?correct
            |(?:in)?accurate|good|fine|wrong))(?:\ to\ me)?\W*?(?=$|\n|[.!])""",
        r"\bthe\ (?:order|sequence)\ is\ (?P<said>reversed|swapped|backwards?|mixed\ up)\b",
        r"(?:\A|\n)\W{0,8}(?P<said>(?:in)?correct|wrong|(?:in)?accurate)[:,]\s",
        r"(?:\A|\n)\W{0,8}answer\W{0,4}[:：]\W{0,4}(?P<said>(?:in)?correct|wrong)\W*(?:$|\n)",
        rf"\bwhat\ (?:the|this)\ {ANSWER}\ {SAYS}\ (?P<said>{CLAUSE})",
    )
]
"""Plain statements on the answer."""

DOUBT = re.compile(
    r"""(?:\b(?:if|unless|whether|nothing\ in|none\ of|no\ part\ of|(?:would|could|may|might)\ (?:be|have)|not|never
        |hardly|cannot|doubt\w*|no\ (?:reason|evidence|indication|sign|way))\b|n['’]t\b
        |如果|[若假]|是否|无法|难以|不能|不确定|不认为|不觉得)[^\n.;,!?，。；！？]*$""",
    re.IGNORECASE | re.VERBOSE,
)
"""In front of a statement in the same clause, so that it says nothing: "I don't think that the answer is right"."""

QUOTED = re.compile(r"(?<!is\ )(?<!:\ )(?:\"[^\"\n]*\"|“[^”\n]*”|「[^」\n]*」)", re.VERBOSE)
"""Another one's words: "The answer should say "right"."."""

ASKED = re.compile(rf"\bis\ (?:the|this)\ {ANSWER}\ (?P<said>\w+)\?\W+(?:yes|(?P<no>no))\b", re.IGNORECASE | re.VERBOSE)
"""A question that the critic asks and answers."""

FAULT_HEADING = re.compile(
    rf"""(?:^|(?<=[.;]\ ))\W{{0,8}}(?:\d{{1,2}}\W{{1,4}})?(?:(?!no\b)\w+[\ -]){{0,3}}(?!(?:changes?|revisions?)\b)
        (?:{FAULTS}(?:\ or\ \w+)?(?:\ (?:in|of|with)\ (?:the|this)\ {ANSWER})?|错误|遗漏)
        [*_\s]*[:：][*_]*\s*(?P<said>[^\n.;]*)
    |(?:^|(?<=[.;,]\ ))\W{{0,8}}(?!verdict)\w+[*_]*:\W{{0,4}}(?P<judged>(?:in)?(?:correct|accurate)|wrong)\b""",
    re.IGNORECASE | re.VERBOSE | re.MULTILINE,
)
"""A list of faults of one kind, which may be empty, or a judgment on one aspect: "Omissions: none", "Place: wrong"."""
NO_FAULT = re.compile(r"^\W*(?:none|no(?!t)\b|nothing|nil|n/a|0\b|不存在|无|没有)", re.IGNORECASE)


def parse_critique(reply: str) -> str:
    """The critique without label, quotes and fences. Raises Unparsable."""
    text = PREFACE.sub("", visible(reply))
    if refuses(text):
        raise Unparsable("a refusal")
    return bare(without_exchange(without_label(FAREWELL.sub("", text), "critique"), _is_talk))


def _is_talk(sentence: str) -> bool:
    """Whether a sentence has neither evidence nor a verdict: "Your answer is correct." has one."""
    return is_exchange(sentence) and read_verdict(sentence) is None


def read_verdict(critique: str) -> Verdict | None:
    """The verdict on the answer: the last labeled one, else the last plain statement; None without one.

    An answer that is right in part is wrong: something in it has to change.
    """
    labeled = [match for pattern in (BOXED, LABELED) for match in pattern.finditer(critique)]
    for match in labeled[::-1]:
        if NEITHER.search(match["said"]):
            return None
        if verdict := judged(match["said"]):
            contradicted = verdict == "right" and _stated(critique[match.end() :]) == "wrong"
            return None if contradicted else verdict
    return _stated(critique)


def _stated(critique: str) -> Verdict | None:
    """The verdict of a text without its labels."""
    if listed := [_has_faults(match, critique[match.end() :]) for match in FAULT_HEADING.finditer(critique)]:
        return "wrong" if any(listed) else "right"
    own = QUOTED.sub(lambda quote: " " * len(quote[0]), ASKED.sub(_as_statement, critique))
    stated = [match for pattern in STATED for match in pattern.finditer(own) if not DOUBT.search(own[: match.start()])]
    for match in sorted(stated, key=lambda match: match.start("said"), reverse=True):
        if not NEITHER.search(match["said"]) and (verdict := judged(match["said"])):
            contrasted = BUT.search(own, match.end())
            return "wrong" if contrasted and WRONG.search(own, contrasted.end()) else verdict
    return None


def _as_statement(asked: re.Match[str]) -> str:
    return f"The answer is {'not ' if asked['no'] else ''}{asked['said']}."


def _has_faults(heading: re.Match[str], below: str) -> bool:
    """Whether a list of faults has any, behind its heading or below it."""
    if heading["judged"]:
        return bool(WRONG.search(heading["judged"]))
    said = heading["said"]
    return not NO_FAULT.match(said if re.search(r"\w", said) else below.lstrip())
