"""Talk about an answer instead of the clip: verdicts, apologies, thanks, and what a critique has said."""

from __future__ import annotations

import re

from savi.prompts.markup import Unparsable, sentences
from savi.prompts.refusals import UNABLE

EARLIER = r"(?:draft|proposed|original|previous|initial|given|first|provided|earlier|suggested|above|existing|current)"
CHINESE_EARLIER = "(?:建议|提议|提出|上面|上述|原|原来|原始|之前|最初|初始)的?(?:答案|回答)"
JUDGED = r"(?:correct|right|accurate|fine|good|perfect|true|valid|wrong|incorrect|inaccurate|false|mistaken)"
JUDGMENT = re.compile(
    rf"^\W*(?:the {EARLIER} )?(?:(?:the )?(?:answer|draft) is )?(?:not )?(?:partially )?{JUDGED}\W*$"
    r"|^\W*(?:答案)?(?:是)?(?:不|部分|完全)?(?:正确|错误|准确|对)(?:的)?\W*$",
    re.IGNORECASE,
)
"""A verdict, and no answer."""

PERCEIVES = r"""(?:see|saw|think|thought|believe|observed?|noticed?|guess|suppose|assume|find|found|spot(?:ted)?
    |hear|heard|count(?:ed)?|estimate|recogni[sz]ed?|infer|watched|looked|know|would\ (?:say|guess|describe)
    |(?:am\ )?(?:sorry|afraid)
    |(?:can(?:not|['’]t|\ not)?|could(?:n['’]t|\ not)?|(?:(?:am|was)\ )?(?:unable|not\ able)\ to)\ (?:\w+ly\ )?
        (?:see|tell|say|determine|identify|make\ out|answer|count|observe|infer|know|confirm|be)
    |(?:am\ )?(?:not\ )?(?:quite\ |entirely\ )?(?:sure|certain)
    |do(?:n['’]t|\ not)\ (?:know|think|see|believe|have\ enough))"""
ON_ITSELF = rf"i(?:['’](?:m|ve|ll|d))?\ (?!(?:\w+ly\ )?{PERCEIVES}\b)\w+"
"""How a model begins to talk about itself or what it has done. What it sees or thinks in the clip may be an answer."""

SUBJECT = rf"""(?:the|this|that|your|my)\ (?:\w+['’]s\ )?(?:{EARLIER}\ )*
    (?:answer|reply|response|draft|critique|criticism|critic|feedback|review|reviewer|notes?|revision|version|correction
    |suggestion|sentence|wording)"""
IS = r"(?:is|are|was|were|seems?|appears?|looks?|remains?|stays?)(?:\ to\ be)?"
ASSERTS = r"""(?:says?|said|states?|stated|claims?|claimed|confirms?|agrees?|mentions?|mentioned|points?\ out|suggests?
    |indicates?|notes|identif(?:y|ies)|highlights?|miss(?:es|ed)?|omits?|omitted|fails?|failed|contains?|gets?|got
        |needs?
    |names?|named|should(?!\ be\b)|must|does(?:n['’]t)?|answers|adds?|address\w*|corrects|fix\w*|reflect\w*|removes?
    |clarif\w+|includes?|provides?|incorporat\w+|ha[ds]\ been|remains?\ the\ same|holds|stands|already)\b"""
"""What an answer, a critique or notes do, unlike what somebody does in a clip."""
ASSESSED = rf"""(?:{JUDGED}|(?:in)?complete|concise|(?:in)?consistent|in\ line|based|missing|the\ same|unchanged
    |better|more|(?:un)?clear|too|supported|off|what|corrected|revised|updated|adjusted|changed|fixed)\b"""

PRAISE = frozenset(
    "okay ok good fine great perfect helpful correct accurate accepted approved confirmed agreed valid unchanged fix "  # noqa: SIM905 (a word each)
    "revise edit apply".split()
)
AROUND_PRAISE = PRAISE | frozenset(
    "i me my you your it its it's this that these the a an is are was were be been has have do does did can don't "  # noqa: SIM905 (a word each)
    "doesn't there's looks look seems seem all already as so and or no not nothing there here need needs needed "
    "necessary required to of in on with for about stays remains same before above any further more complete done "
    "enough very see agree whole draft notes feedback critique answer answers change changes changed revision "
    "corrections edits".split()
)
"""A text of these words alone says nothing about a clip: "All good.", "There's nothing to fix here."."""

TALK = re.compile(
    rf"""^[(（\[*_\s]*(?:(?:so|therefore|thus|hence|yes|no|indeed|also|and|but|however|overall)[,.]?\ )?
    (?:(?:是的|所以|因此|但)[，,]?)?(?:
    (?:(?:the|this|that|your|my)\s+)?(?:draft|proposed|original|previous|initial|earlier|suggested)\s+
        (?:answer|reply|response)\b(?!\ (?:team|time|unit))
    |{SUBJECT}\ (?:(?:now|also|already|better|more|\w+ly)\ )*
        (?:{ASSERTS}|{IS}\ (?:(?:now|not|also|already|still|\w+ly)\ )*{ASSESSED})
    |(?:the|this|your|my)\ (?:\w+['’]s\ )?(?:draft|critique|critic|criticism|feedback|reviewer|notes?)\b[^.!?\n]*
        \b(?:(?:in)?correct(?:ly)?|(?:in)?accurate(?:ly)?|wrong(?:ly)?|errors?|mistaken?s?|false)\b
    |the\ (?:error|mistake|inaccuracy|omission|mention)s?\b[^.!?\n]*
        \bha(?:s|ve)\ been\ (?:removed|corrected|fixed|addressed)\b
    |(?:replace|change|correct|delete|remove|insert|add|mention|leave|keep|include|state|clarify|specify|rephrase
        |rewrite|shorten)
        \ (?:that|the|an?|how|which|it|["“'‘])|["“][^"”\n]+["”]\ should\ (?:be|read|say)\b
    |(?:this|that|it)\b[^.!?\n]*\b(?:the|your)\ (?:draft|notes|critique|feedback)\W*$
    |the\ (?:claim|statement|assertion|suggestion|notion|idea|mention)\ (?:that|of)\b[^.!?\n]*
        \b(?:is|was)\ (?:not\ )?{JUDGED}\b
    |it(?:['’]s|\ is)\ (?:not\ (?:true|correct|right|accurate)|incorrect|wrong|false|inaccurate)\ (?:that|to)\b
    |(?:this|that|it)\ (?:corrects|addresses|fixes|clarifies|reflects|incorporates|removes|resolves)
        \ (?:the|all|both|any)\ (?:\w+\ ){{0,2}}(?:draft|error|mistake|critique|issue|notes?|feedback|inaccurac
            |omission)\w*
    |you\ (?:raise|make|made|bring\ up|point\ out|mentioned|noted)\b|(?:valid|fair)\ point
    |i\ (?:{UNABLE})\ (?:improve|find\ any(?:thing)?\ (?:wrong|error|mistake))
    |i\ (?:see|find)\ no\ (?:error|mistake|issue|reason)\w*
    |(?:no|there\ (?:is|are)\ no)\ (?:further\ |other\ )?
        (?:changes?|edits?|adjustments?|corrections?|errors?|mistakes?|improvements?|revisions?|need|issues?)
        (?:\ (?:are|is|were|to\ be|made|needed|necessary|required|for\ (?:any\ )?(?:change|revision)s?
        |in\ the\ (?:proposed\ |original\ )?(?:answer|response|reply))|\W*$)
    |(?:there\ (?:is|was)\ )?no\ need\ to\ (?:change|revise|correct|improve|edit|update|modify)\b|nothing\ (?:needs
        |has|to)\b
    |(?:there\ is|i\ have|i\ see)\ nothing\ (?:to\ (?:correct|change|add|improve|revise|fix)|wrong)
    |everything\ (?:in\ the\ (?:draft|answer|response)\b|is\ (?:correct|accurate|right|fine)\W*$)
    |(?:as|since|because)\ (?:there\ (?:is|are)\ no\ (?:\w+\ )?(?:error|mistake|change|issue|correction)s?|the\ draft)\b
    |you(?:['’]re|\ are)\ (?:absolutely\ |quite\ |completely\ |totally\ )?{JUDGED}\s*
        (?:[,.!:;]|$|\b(?:in|that|about)\b)
    |(?:that(?:['’]s|\ is)|it(?:['’]s|\ is))\ (?:absolutely\ |quite\ |completely\ )?{JUDGED}\s*(?:[,.!:;]|$)
    |(?:correct|right|wrong|incorrect|agreed)[,.!]?\s*
        (?:the\ {EARLIER}|the\ (?:answer|critique)|you(?:['’]re|\ are))\b
    |{ON_ITSELF}
    |(?:the\ )?same\ (?:as\ (?:before|above|the\ (?:draft|first))|answer)\b|(?:unchanged|as\ (?:before|above))\W*$
    |(?<=[(（])(?:corrected|changed|revised|updated|modified|edited)\ (?:from|to|after|as\ per|based|according)\b
    |(?:my\ )?(?:apologies|apology|mistake|bad)\b|sorry\b|thank(?:s(?!\ to\b)|\ you)\b
    |(?:good|great|nice)\ (?:catch|point)\b
    |(?:correct|incorrect|accurate|inaccurate|wrong)\s*[.!]?$
    |(?:你|您)(?:说得对|(?:所?(?:指出|提到|说)的?)[^，。]{{0,8}}(?:对|正确|有道理|没错))|(?:很|非常)?抱歉|对不起
        |不好意思|谢谢|感谢|{CHINESE_EARLIER}
    |(?:该|这个|您的|你的|我的)?(?:答案|回答|草稿|初稿)(?:是|基本|完全|很|不)*(?:正确|准确|错误|有误
        |对)的?(?=[，。！]|$)
    |(?:该|这个|您的|你的)(?:答案|回答)(?:是|基本|完全|很|不|没有)|草稿(?:中|里|说|提到|错|有|把|将|很|挺|没)
        |同意(?:草稿
        |批注|原)
    |(?:该|这个|这条)?(?:批评|批注|评论|反馈|评价)(?:是|指出|认为|提到|很|正确)|这样(?:更|就)
    |(?<=[(（])已?(?:修正|修改|更正|订正)
    |(?:该|这个|我的)?(?:答案|回答)(?:保持|维持)?不变|已?(?:根据|按照)(?:批评|批注|意见
        |反馈)(?:意见)?[^，。]{{0,4}}(?:修改|更正|调整)
    |(?:无需|不需要|不用|不必|没有必要|没有?需要)(?:任何)?(?:修改|更改|改动|更正|改)|保持原|是?我[^，。]{{0,3}}错了)""",
    re.IGNORECASE | re.VERBOSE,
)
"""How a sentence begins that talks about another answer, a critique or a mistake, and not about the clip."""

COURTESY = re.compile(
    rf"""^(?:(?:(?:i['’]?m\ |i\ am\ )?(?:so\ |very\ )?sorry\ (?:for|about)|(?:my\ )?apologies
            |i\ apologi[sz]e|thank(?:s(?!\ to\b)|\ you)|you(?:['’]re|\ are)\ (?:\w+\ )?(?:right|correct))\b
        [^,;:.!?\n]{{0,40}}[,;]\s+(?:but\s+)?
    |the\ (?:notes|critique|feedback)\ (?:is|are)\ (?:\w+\ )?(?:right|correct|accurate|valid)[:;,]\s+
    |(?:(?:很|非常)?抱歉|对不起|谢谢|感谢|[你您]说得对)[^，,；。！？\n]{{0,12}}[，,；]\s*)
    (?!(?:i|we|you|let)\b|[我您你]|(?:that|this|it)(?:['’]s|\ is|\ was)\ (?:\w+\ )?{JUDGED})
    (?![^.!?。！？]*(?:\b(?:draft|notes?|answer|critique|response|mistake|error)\b|草稿|答案|回答|错误))""",
    re.IGNORECASE | re.VERBOSE,
)
"""Courtesy in front of what a sentence says about the clip: "My apologies for the oversight; the cup is red."."""

TALK_CLAUSE = re.compile(
    r"""^(?:(?:based\ on|according\ to|considering|given|taking|in\ (?:light\ of|response\ to)|following|with|after
        |upon|as\ per|as
        |per|using
            |without|incorporating)\s+(?:\w+\s+){0,3}?(?:the|your|this|my)?\s*(?:\w+\s+)?
        (?:critiques?|criticism|feedback|review|comments?|corrections?|notes|draft
        |proposed\ answer)\b[^,.:;]{0,40}[,:]\s*
    |(?:to\ (?:correct|revise|improve)|answering|written)\b[^,.:;]{0,60}:\s*
    |(?:having|after|upon|on)\s+(?:(?:re-?)(?:watch|review|examin|check|inspect|consider|read|view)(?:ed|ing)\s+the\s+
            (?:video|clip|footage)(?:\s+(?:again|more\ \w+ly|\w+ly|once\ more))*
        |(?:watch|review|examin|check|inspect|view|look)(?:ed|ing)\s+(?:at\s+)?the\s+(?:video|clip|footage)
            (?:\s+(?:again|more\ \w+ly|\w+ly|once\ more))+),\s*
    |(?:(?:up)?on|after)\ (?:further\ |closer\ |careful\ )?(?:review|inspection|reflection|look|examination|analysis
        |viewing)[^,.]{0,30},\s*
    |(?:经过|在)?(?:重新|再次|仔细)(?:观看|查看|检查)[^，,。]{0,8}[，,]\s*
    |(?:根据|按照|基于|结合|综合|参考|考虑到|正?如|与|和)(?:上述|以上|该|您的)?
        (?:视频[和与]?)?(?:批评|批注|评论|反馈|评价|意见|草稿|初稿|原(?:答案|回答))[^，,。]{0,12}[，,]\s*)""",
    re.IGNORECASE | re.VERBOSE,
)


def without_talk(text: str) -> str:
    """Without sentences at both ends that talk about another answer, and clauses that name a critique.

    Raises Unparsable where nothing else is left.
    """
    if clause := TALK_CLAUSE.match(text):
        rest = text[clause.end() :]
        return without_talk(rest[:1].upper() + rest[1:])
    parts = sentences(text)
    if courtesy := COURTESY.match(text):
        return without_talk(text[courtesy.end() :])
    if parts and TALK.match(parts[0]):
        text = text[text.index(parts[0]) + len(parts[0]) :].strip(' \n"”*_')
    elif parts and TALK.match(parts[-1]):
        text = text[: text.rindex(parts[-1])].strip(" \n*_")
    elif _praises(text):
        text = ""
    else:
        return text
    if not re.search(r"\w", text):
        raise Unparsable("talk about an answer, and no answer")
    return without_talk(text)


def _praises(text: str) -> bool:
    words = set(re.findall(r"[\w']+", text.replace("’", "'").lower()))
    return bool(words & PRAISE) and words <= AROUND_PRAISE
