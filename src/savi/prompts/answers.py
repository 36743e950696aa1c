"""A reply to the answer or the revision in it, as if nobody had proposed another answer.

Labels, echoes of the prompt, apologies, farewells and remarks about other texts go. A reply that consists of them
alone holds no answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from savi.prompts.labels import Kind, as_lines, sections
from savi.prompts.markup import Unparsable, bare, sentences, visible
from savi.prompts.refusals import UNABLE, refuses

PREFACE = re.compile(
    r"""^(?:(?:(?:sure(?:\ thing)?|certainly|of\ course|okay|ok|absolutely|great(?:\ question)?|got\ it|alright
        |understood|no\ problem|(?:good|excellent|interesting)\ question|好的|当然(?:可以)?|没问题|好问题)[!,.:，。！：]
    |(?:i['’]d|i\ would|i['’]ll|i\ will|i['’]m)\ (?:be\ )?(?:happy|glad|love|pleased)\ to
        \ (?:help|assist|answer)[^.!\n]*[.!]
    |thank(?:s|\ you)\ for\ (?:your|the|this|asking|sharing)\b[^.!\n]*[.!]
    |let(?:\ me|['’]s)\ (?:look|check|watch|see|take|examine|review|re-?examine)\b[^.!\n]*[.!:]
    |(?:感谢|谢谢)[您你]的(?:提问|问题)[，。！])\s*)+""",
    re.IGNORECASE | re.VERBOSE,
)
BOXED = re.compile(r"^[^{}]*\\boxed\{(?:\\text\{)?([^{}]*)\}{1,2}\$?\.?$", re.DOTALL)
"""An answer in a box, behind what leads to it."""
THINKING = re.compile(
    r"""^(?:let['’]s\ (?:think|break|analy[sz]e|go|start|consider|reason)
    |let\ me\ (?:think|analy[sz]e|start|consider|reason)
    |step\ (?:1|one|by)\b|hmm+\b|wait\b|first,?\ (?:i|let|we)\b|so,?\ (?:i|the\ user|the\ question|let)\b
    |i\ (?:need|have|should)\ to\ (?:look|watch|check|analy[sz]e|think|determine|see|figure|find|identify|answer)
    |the\ user\ (?:wants|asks|asked|is\ asking|provided|has\ asked)
    |(?:让我|我们来?)(?:想|思考|分析|一步)|首先[，,]?我)""",
    re.IGNORECASE | re.VERBOSE,
)
"""How a thought begins that isn't marked as one. Its answer is below a label, or can't be told from it."""

FAREWELL = re.compile(
    r"""(?:^|\s+|(?<=[。！？]))(?:i\ hope\ (?:this|that)|hope\ (?:this|that)|(?:please\ )?let\ me\ know|feel\ free
    |is\ there\ anything\ else|if\ you\ (?:have|need|would\ like)|would\ you\ like|do\ you\ (?:want|need)
    |(?:很高兴)?希望(?:这|以上|对)|如果[您你](?:还)?(?:有|需要)|如(?:有|需)|请随时|还有(?:什么|其他))[^\n]*$""",
    re.IGNORECASE | re.VERBOSE,
)
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
    rf"""^(?:
    (?:(?:the|this|that|your|my)\s+)?(?:draft|proposed|original|previous|initial|earlier|suggested)\s+
        (?:answer|reply|response)\b(?!\ (?:team|time|unit))
    |(?:the|this|that|your|my)\ {EARLIER}\ (?:answer|reply|response)\ (?:is|was|seems?|says?|said|states?|claims?
        |mentions?|\w+ly|miss(?:es|ed)|omits|fails|needs|contains|does|has|had)\b
    |(?:the|this|your|my)\ (?:draft|notes|reviewer)\ (?:(?:is|are|was|were|seems?)\ (?:\w+ly\ )?{JUDGED}
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
    |(?:你|您)(?:说得对|(?:所?(?:指出|提到|说)的?)[^，。]{{0,8}}(?:对|正确|有道理|没错))|(?:很|非常)?抱歉|对不起|谢谢|感谢|{CHINESE_EARLIER}
    |(?:该|这个|您的|你的|我的)?(?:答案|回答|草稿|初稿)(?:是|基本|完全|很|不)*(?:正确|准确|错误|有误|对)的?(?=[，。！]|$)
    |(?:该|这个|您的|你的)(?:答案|回答)(?:是|基本|完全|很|不)|草稿(?:中|里|说|提到)
    |(?:该|这个|这条)?(?:批评|评论|反馈|评价)(?:是|指出|认为|提到|很|正确)
    |(?:无需|不需要|不用|没有必要)(?:任何)?(?:修改|更改|改动|更正))""",
    re.IGNORECASE | re.VERBOSE,
)
"""How a sentence begins that talks about another answer, a critique or a mistake, and not about the clip."""

TALK_BELOW = re.compile(rf"[(\[*_\s]*(?:{TALK.pattern[1:]})", re.IGNORECASE | re.VERBOSE)
"""The same in a last sentence, which brackets and emphasis may surround."""

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
    |upon\ (?:further\ |closer\ )?(?:review|inspection|reflection)[^,.]{0,30},\s*
    |(?:根据|按照|基于)(?:上述|以上|该|您的)?(?:批评|评论|反馈|评价|意见)[^，,。]{0,12}[，,]\s*)""",
    re.IGNORECASE | re.VERBOSE,
)


def parse_answer(reply: str) -> str:
    """The answer without label, reasoning, echo of the prompt, remarks, farewell, quotes and fences. Raises
    Unparsable."""
    return _answer(reply, ("answer", "conclusion", "text", "draft", "remark"))


def parse_revision(reply: str) -> str:
    """As `parse_answer`, and without talk about the answer that it replaces.

    Raises Unparsable, also where such talk is all there is.
    """
    return _without_talk(_answer(reply, ("answer", "conclusion", "text", "remark")))


def _answer(reply: str, kinds: Sequence[Kind]) -> str:
    """The last labeled answer of a reply, or else its first text of another kind that holds one, in the given order."""
    text = PREFACE.sub("", visible(reply))
    if refuses(text):
        raise Unparsable("a refusal")
    if (lines := as_lines(text)) is not None:
        text = lines
    if boxed := BOXED.match(text):
        return bare(boxed[1])
    found = sections(FAREWELL.sub("", text))
    for kind in kinds:
        of_kind = [
            one.text for one in found if one.kind == kind and not (kind == "conclusion" and JUDGMENT.match(one.text))
        ]
        if not of_kind:
            continue
        if kind == "text" and (found[0].kind == "thought" or THINKING.match(of_kind[0])):
            break
        return bare(PREFACE.sub("", of_kind[0 if kind == "text" else -1]))
    raise Unparsable("no answer in the reply" if bare(text) else "empty reply")


def _without_talk(text: str) -> str:
    """Without sentences at both ends that talk about another answer, and clauses that name a critique."""
    if clause := TALK_CLAUSE.match(text):
        rest = text[clause.end() :]
        return _without_talk(rest[:1].upper() + rest[1:])
    parts = sentences(text)
    if parts and TALK.match(parts[0]):
        text = text[text.index(parts[0]) + len(parts[0]) :].strip(' \n"”*_')
    elif parts and TALK_BELOW.match(parts[-1]):
        text = text[: text.rindex(parts[-1])].strip(" \n*_")
    else:
        return text
    if not re.search(r"\w", text):
        raise Unparsable("talk about an answer, and no answer")
    return _without_talk(text)
