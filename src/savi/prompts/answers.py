"""A reply to the answer or the revision in it, as if nobody had proposed another answer.

Labels, echoes of the prompt, apologies, farewells and remarks about other texts go. A reply that consists of them
alone holds no answer.
"""

from __future__ import annotations

import re

from savi.prompts.markup import Unparsable, sentences, unlabel, visible

PREFACE = re.compile(
    r"""^(?:(?:sure|certainly|of\ course|okay|ok|absolutely|great(?:\ question)?|got\ it|alright|understood
    |好的|当然|没问题)[!,.:，。！：]\s*)+""",
    re.IGNORECASE | re.VERBOSE,
)
LABEL_START = r"""(?:(?:here\ is|here['’]s|this\ is|below\ is)\s+)?
    (?:(?:the|my|a|an|your|first|initial|final|proposed|improved|revised|corrected|updated|better|new|short|concise
    |complete|more|most|accurate|precise|correct|rewritten|refined|modified|direct|brief)\s+)*"""
CHINESE_LABEL_START = "(?:改进|修改|修订|修正|更正|最终|更好|更准确|正确|新)?(?:后|过)?的?"
ANSWER_LABEL = re.compile(
    rf"""^(?:{LABEL_START}(?:answer|response|reply|revision|version|a)(?:\s+to\ (?:the|your)\ question)?
        (?:\s+(?:is|would\ be|could\ be|should\ be|might\ be))?(?:\s+as\ follows)?\s*(?:\s[-–—]|[:：])
    |{CHINESE_LABEL_START}(?:答案|回答|回复)(?:是|为|如下)?\s*[:：]
    |答\s*[:：])\s*""",
    re.IGNORECASE | re.VERBOSE,
)
ANSWER_HEADING = re.compile(
    rf"^(?:{LABEL_START}(?:answer|response|reply|revision)|{CHINESE_LABEL_START}(?:答案|回答))$",
    re.IGNORECASE | re.VERBOSE,
)
QUESTION_ECHO = re.compile(
    r"""^\W*(?:q|question|问题|问)\W{0,3}[:：].*\n+
    (?=\W{0,3}(?:(?:\w+\ ){0,2}(?:answer|a|response)|\w{0,4}(?:答案|回答)|答)\W{0,3}[:：])""",
    re.IGNORECASE | re.VERBOSE,
)
IMPROVED = re.compile(
    r"""^\W{0,4}(?:
        (?:(?:the|my)\s+)?(?:improved|revised|corrected|final|better|updated|new|rewritten|refined)\s+
        (?:answer|response|reply|version|revision)\b
    |revised|revision|improved|corrected
    |(?:改进|修改|修订|修正|最终|更正)(?:后|过)?的?(?:答案|回答|回复))
    [*_\s]*[:：][*_]*\s*""",
    re.IGNORECASE | re.MULTILINE | re.VERBOSE,
)
"""The label below which an echo of the whole prompt comes to its answer."""

REMARK = re.compile(
    r"""(?:\n\s*|(?<=[.!?])\s+)[(*_\[]*
    (?:explanations?|notes?|changes?(?:\ made)?|reasoning|rationale|justification|corrections?|key\ changes
    |what\ changed|evidence|critique|feedback|verdict|confidence(?:\ score)?)\s*[*_]*\s*[:：]
    |\n\s*[（(*]*(?:解释|说明|注|备注|修改说明|理由)\**\s*[:：]
    |\n\s*(?:---+|\*\*\*+)\s*(?=\n)""",
    re.IGNORECASE | re.VERBOSE,
)
FAREWELL = re.compile(
    r"""(?:^|\s+)(?:i\ hope\ (?:this|that)|hope\ (?:this|that)|(?:please\ )?let\ me\ know|feel\ free
    |is\ there\ anything\ else|if\ you\ (?:have|need|would\ like)|would\ you\ like|do\ you\ (?:want|need)
    |希望(?:这|以上)|如果您|如需|请随时)[^\n]*$""",
    re.IGNORECASE | re.VERBOSE,
)
UNABLE = r"(?:cannot|can['’]?t|can\ not|am\ unable\ to|am\ not\ able\ to|['’]m\ (?:unable|not\ able)\ to)"
REFUSAL = re.compile(
    rf"""^(?:as\ an?\ (?:\w+\ )*(?:ai|language|text-based)\b
    |(?:(?:i['’]?m|i\ am)\ (?:so\ |very\ |really\ )?sorry|sorry|unfortunately|i\ apologi[sz]e)[,.]?\s*(?:but\s+)?
        i(?:\ {UNABLE}|['’]m\ (?:unable|not\ able)\ to|\ do(?:n['’]t|\ not))
        (?!\ (?:tell|see\ (?:a|any|which|what|where|who|how)|determine|identify|make\ out|say|find\ (?:a|any)))
    |i(?:\ {UNABLE}|['’]m\ (?:unable|not\ able)\ to)
        \ (?:view|watch|access|process|analy[sz]e|assist|help|provide|play|open)
    |i\ do(?:n['’]t|\ not)\ have\ (?:access|the\ ability|enough\ (?:information|context))
    |(?:please|could\ you)\ (?:provide|upload|share)
    |(?:(?:很|非常)?抱歉|对不起)[，,]?我(?:无法|不能)
    |我(?:无法|不能)(?:查看|观看|访问|播放|分析)
    |作为(?:一个|一名)?(?:AI|人工智能))""",
    re.IGNORECASE | re.VERBOSE,
)
"""The model says that it can't watch or help. That a clip doesn't show something is an answer, and no refusal."""

EARLIER = r"(?:proposed|original|previous|initial|given|first|provided|earlier|suggested|above|existing|current)"
CHINESE_EARLIER = "(?:建议|提议|提出|原|原来|原始|之前|最初|初始)的?(?:答案|回答)"
JUDGED = r"(?:correct|right|accurate|fine|good|perfect|true|valid|wrong|incorrect|inaccurate|false|mistaken)"
TALK = re.compile(
    rf"""^(?:
    (?:(?:the|this|that|your|my)\s+)?{EARLIER}\s+(?:answer|reply|response)\b(?!\ (?:team|time|unit))
    |(?:the|your|this|that|my)\ (?:answer|response|reply)
        \ (?:is|was|seems|appears|looks|does|doesn['’]t|needs|contains|states|says|fails)\b(?!\ (?:that|the\ )\b)
    |(?:the|your|this)\ (?:critique|criticism|critic|feedback|review|reviewer)
        \ (?:is|was|correctly|rightly|points|says|states|notes|mentions|suggests|identifies|highlights|claims
        |indicates)\b
    |(?:no|there\ (?:is|are)\ no)\ (?:further\ |other\ )?
        (?:changes?|corrections?|errors?|mistakes?|improvements?|revisions?|need|issues?)
        (?:\ (?:are|is|were|to\ be|made|needed|necessary|required|for\ (?:any\ )?(?:change|revision)s?
        |in\ the\ (?:proposed\ |original\ )?(?:answer|response|reply))|\s*[.!]?$)
    |nothing\ (?:needs|has|to)\b
    |(?:you(?:['’]re|\ are)|that(?:['’]s|\ is)|it(?:['’]s|\ is))
        \ (?:absolutely\ |quite\ |completely\ |totally\ )?{JUDGED}\s*(?:[,.!:;]|$|\bin\b|\bthat\b|\babout\b)
    |(?:yes|no|correct|indeed|right|wrong|incorrect|agreed)[,.!]?\s*
        (?:the\ {EARLIER}|the\ (?:answer|critique)|you(?:['’]re|\ are))\b
    |i\ (?:apologi[sz]e|made|agree|(?:have\ )?(?:corrected|revised|updated|rewrote|changed|removed|added)
        |see\ (?:my|the)\ (?:mistake|error)|stand\ corrected|was\ (?:wrong|mistaken)|missed|overlooked
        |would\ (?:keep|revise|change))\b
    |i['’]ve\ (?:corrected|revised|updated|changed|removed|added|rewritten)\b
    |(?:my\ )?(?:apologies|apology|mistake|bad)\b|sorry\b|thank(?:s|\ you)\b|(?:good|great|nice)\ (?:catch|point)\b
    |(?:correct|incorrect|accurate|inaccurate)\s*[.!]?$
    |(?:你|您)说得对|(?:很|非常)?抱歉|对不起|谢谢|感谢|{CHINESE_EARLIER}
    |(?:该|这个|您的|你的)(?:答案|回答)(?:是|基本|完全|很|不)
    |(?:该|这个|这条)?(?:批评|评论|反馈|评价)(?:是|指出|认为|提到|很|正确)
    |(?:无需|不需要|不用|没有必要)(?:任何)?(?:修改|更改|改动|更正))""",
    re.IGNORECASE | re.VERBOSE,
)
"""How a sentence begins that talks about another answer, a critique or a mistake, and not about the clip."""

TALK_CLAUSE = re.compile(
    r"""^(?:(?:based\ on|according\ to|considering|given|taking\ into\ account|taking|in\ light\ of|following|with|after
        |upon|as\ per|as|per)\s+(?:(?:re-?)?(?:reviewing|considering|examining|reading|watching|checking)\s+)?
        (?:the|your|this|my)?\s*(?:critiques?|criticism|feedback|review|comments?|correction|critic|proposed\ answer)
        (?:\s+and\ (?:the\ )?(?:video|clip))?
        (?:\s+(?:says|said|states|notes|points\ out|into\ account|provided|given|above))*[^,.]{0,30},\s*
    |upon\ (?:further\ |closer\ )?(?:review|inspection|reflection)[^,.]{0,30},\s*
    |(?:根据|按照|基于)(?:上述|以上|该|您的)?(?:批评|评论|反馈|评价|意见)[^，,。]{0,12}[，,]\s*)""",
    re.IGNORECASE | re.VERBOSE,
)


def parse_answer(reply: str) -> str:
    """The answer without label, echo of the prompt, farewell, quotes and fences. Raises Unparsable."""
    text = PREFACE.sub("", visible(reply))
    if REFUSAL.match(text):
        raise Unparsable("a refusal")
    return unlabel(FAREWELL.sub("", QUESTION_ECHO.sub("", text)), ANSWER_LABEL, ANSWER_HEADING)


def parse_revision(reply: str) -> str:
    """As `parse_answer`, without remarks below it and without talk about the answer that it replaces.

    Raises Unparsable, also where such talk is all there is.
    """
    text = PREFACE.sub("", visible(reply))
    if improved := list(IMPROVED.finditer(text)):
        text = text[improved[-1].end() :]
    return _without_talk(parse_answer(REMARK.split(text, maxsplit=1)[0]))


def _without_talk(text: str) -> str:
    """Without sentences at the start that talk about another answer, and clauses that name a critique."""
    if clause := TALK_CLAUSE.match(text):
        rest = text[clause.end() :]
        return _without_talk(rest[:1].upper() + rest[1:])
    parts = sentences(text)
    if not parts or not TALK.match(parts[0]):
        return text
    rest = text[text.index(parts[0]) + len(parts[0]) :].strip(' \n"”')
    if not rest:
        raise Unparsable("talk about an answer, and no answer")
    return _without_talk(rest)
