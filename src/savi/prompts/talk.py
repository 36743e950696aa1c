"""Talk about an answer instead of the clip: verdicts, apologies, thanks, and what a critique has said."""

from __future__ import annotations

import re

from savi.prompts.markup import Unparsable, sentences
from savi.prompts.refusals import UNABLE

EARLIER = r"(?:draft|proposed|original|previous|initial|given|first|provided|earlier|suggested|above|existing|current)"
CHINESE_EARLIER = "(?:建议|提议|提出|原|原来|原始|之前|最初|初始)的?(?:答案|回答)"
JUDGED = r"(?:correct|right|accurate|fine|good|perfect|true|valid|wrong|incorrect|inaccurate|false|mistaken)"
JUDGMENT = re.compile(
    rf"^\W*(?:the {EARLIER} )?(?:(?:the )?(?:answer|draft) is )?(?:not )?(?:partially )?{JUDGED}\W*$"
    r"|^\W*(?:答案)?(?:是)?(?:不|部分|完全)?(?:正确|错误|准确|对)(?:的)?\W*$",
    re.IGNORECASE,
)
"""A verdict, and no answer."""

TALK = re.compile(
    rf"""^[(（\[*_\s]*(?:
    (?:(?:the|this|that|your|my)\s+)?(?:draft|proposed|original|previous|initial|earlier|suggested)\s+
        (?:answer|reply|response)\b(?!\ (?:team|time|unit))
    |(?:the|this|that|your|my)\ {EARLIER}\ (?:answer|reply|response)\ (?:is|was|seems?|says?|said|states?|claims?
        |mentions?|\w+ly|miss(?:es|ed)|omits|fails|needs|contains|does|has|had)\b
    |(?:the|this|your|my)\ (?:{EARLIER}\ )?(?:draft|notes|reviewer)\ (?:(?:is|are|was|were|seems?)\ (?:\w+ly\ )?{JUDGED}
        |(?:\w+ly\ )?(?:says?|states?|confirms?|agrees?|mentions?|claims?|points?\ out|suggests?|indicates?|notes?
        |identif(?:y|ies)|highlights?|already|needs?|answers?|misses|omits|contains?)\b)
    |(?:the|this|that|my)\ (?:answer|response|reply|revision|version|correction)
        \ (?:(?:now|also|better|more\ accurately|accurately|correctly)\ )*(?:address|correct|fix|reflect|remove|clarif
        |include|provide|incorporat|remain|stay|ha[ds]\ been|is\ (?:now|based)|adds)\w*
    |(?:this|that|it)\ (?:corrects|addresses|fixes|clarifies|reflects|incorporates|removes|resolves)
        \ (?:the|all|both|any)\ (?:\w+\ ){{0,2}}(?:draft|error|mistake|critique|issue|notes?|feedback|inaccurac
            |omission)\w*
    |you\ (?:raise|make|made|bring\ up|point\ out|mentioned|noted)\b|(?:valid|fair)\ point
    |i\ (?:{UNABLE})\ (?:improve|find\ any(?:thing)?\ (?:wrong|error|mistake))
    |i\ (?:stand\ by|maintain|keep|kept|will\ keep)\b
    |i\ (?:see|find)\ no\ (?:error|mistake|issue|reason)\w*
    |(?:the|your|this|that|my)\ (?:answer|response|reply)
        \ (?:is|was|seems|appears|looks|does|doesn['’]t|needs|contains|states|says|fails
        |stays|remains)\b(?!\ (?:that|the\ (?!same))\b)
    |(?:the|your|this)\ (?:critique|criticism|critic|feedback|review|reviewer)
        \ (?:is|was|correctly|rightly|points|says|states|notes|mentions|suggests|identifies|highlights|claims
        |indicates)\b
    |(?:no|there\ (?:is|are)\ no)\ (?:further\ |other\ )?
        (?:changes?|corrections?|errors?|mistakes?|improvements?|revisions?|need|issues?)
        (?:\ (?:are|is|were|to\ be|made|needed|necessary|required|for\ (?:any\ )?(?:change|revision)s?
        |in\ the\ (?:proposed\ |original\ )?(?:answer|response|reply))|\W*$)
    |nothing\ (?:needs|has|to)\b
    |(?:there\ is|i\ have|i\ see)\ nothing\ (?:to\ (?:correct|change|add|improve|revise|fix)|wrong)
    |everything\ (?:in\ the\ (?:draft|answer|response)\b|is\ (?:correct|accurate)\W*$)
    |(?:as|since|because)\ (?:there\ (?:is|are)\ no\ (?:\w+\ )?(?:error|mistake|change|issue|correction)s?|the\ draft)\b
    |you(?:['’]re|\ are)\ (?:absolutely\ |quite\ |completely\ |totally\ )?{JUDGED}\s*
        (?:[,.!:;]|$|\b(?:in|that|about)\b)
    |(?:that(?:['’]s|\ is)|it(?:['’]s|\ is))\ (?:absolutely\ |quite\ |completely\ )?{JUDGED}\s*(?:[,.!:;]|$)
    |(?:yes|no|correct|indeed|right|wrong|incorrect|agreed)[,.!]?\s*
        (?:the\ {EARLIER}|the\ (?:answer|critique)|you(?:['’]re|\ are))\b
    |i\ (?:apologi[sz]e|made|agree|(?:have\ )?(?:corrected|revised|updated|rewrote|changed|removed|added)
        |see\ (?:my|the)\ (?:mistake|error)|stand\ corrected|was\ (?:wrong|mistaken)|missed|overlooked
        |would\ (?:keep|revise|change))\b
    |i['’]ve\ (?:corrected|revised|updated|changed|removed|added|rewritten)\b
    |(?<=[(（])(?:corrected|changed|revised|updated|modified|edited)\ (?:from|to|after|as\ per|based|according)\b
    |(?:my\ )?(?:apologies|apology|mistake|bad)\b|sorry\b|thank(?:s(?!\ to\b)|\ you)\b
    |(?:good|great|nice)\ (?:catch|point)\b
    |(?:correct|incorrect|accurate|inaccurate)\s*[.!]?$
    |(?:你|您)(?:说得对|(?:所?(?:指出|提到|说)的?)[^，。]{{0,8}}(?:对|正确|有道理|没错))|(?:很|非常)?抱歉|对不起|谢谢|感谢|{CHINESE_EARLIER}
    |(?:该|这个|您的|你的|我的)?(?:答案|回答|草稿|初稿)(?:是|基本|完全|很|不)*(?:正确|准确|错误|有误|对)的?(?=[，。！]|$)
    |(?:该|这个|您的|你的)(?:答案|回答)(?:是|基本|完全|很|不)|草稿(?:中|里|说|提到)
    |(?:该|这个|这条)?(?:批评|评论|反馈|评价)(?:是|指出|认为|提到|很|正确)
    |(?:该|这个|我的)?(?:答案|回答)(?:保持|维持)?不变|已?(?:根据|按照)(?:批评|批注|意见|反馈)(?:意见)?[^，。]{{0,4}}(?:修改|更正|调整)
    |(?:无需|不需要|不用|没有必要)(?:任何)?(?:修改|更改|改动|更正))""",
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
    r"""^(?:(?:based\ on|according\ to|considering|given|taking\ into\ account|taking|in\ light\ of|following|with|after
        |upon|as\ per|as|per)\s+(?:(?:re-?)?(?:reviewing|considering|examining|reading|watching|checking)\s+)?
        (?:the|your|this|my)?\s*(?:critiques?|criticism|feedback|review|comments?|correction|critic|notes
            |proposed\ answer)
        (?:\s+and\ (?:the\ )?(?:video|clip))?
        (?:\s+(?:says|said|states|notes|points\ out|into\ account|provided|given|above))*[^,.]{0,30},\s*
    |(?:having|after|upon|on)\s+(?:(?:re-?)(?:watch|review|examin|check|inspect|consider|read|view)(?:ed|ing)\s+the\s+
            (?:video|clip|footage)(?:\s+(?:again|more\ \w+ly|\w+ly|once\ more))*
        |(?:watch|review|examin|check|inspect|view|look)(?:ed|ing)\s+(?:at\s+)?the\s+(?:video|clip|footage)
            (?:\s+(?:again|more\ \w+ly|\w+ly|once\ more))+),\s*
    |(?:(?:up)?on|after)\ (?:further\ |closer\ |careful\ )?(?:review|inspection|reflection|look|examination|analysis
        |viewing)[^,.]{0,30},\s*
    |(?:根据|按照|基于)(?:上述|以上|该|您的)?(?:批评|评论|反馈|评价|意见)[^，,。]{0,12}[，,]\s*)""",
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
    else:
        return text
    if not re.search(r"\w", text):
        raise Unparsable("talk about an answer, and no answer")
    return without_talk(text)
