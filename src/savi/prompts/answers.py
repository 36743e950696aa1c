"""A reply to the answer or the revision in it, as if nobody had proposed another answer.

Labels, echoes of the prompt, apologies, farewells and remarks about other texts go. A reply that consists of them
alone holds no answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from savi.prompts.exchange import without_exchange
from savi.prompts.labels import Kind, Section, as_lines, sections
from savi.prompts.markup import Unparsable, bare, visible
from savi.prompts.question_form import is_question
from savi.prompts.refusals import refuses
from savi.prompts.talk import JUDGMENT, ON_ITSELF, without_talk

PREFACE = re.compile(
    r"""^(?:(?:(?:sure(?:\ thing)?|certainly|of\ course|okay|ok|absolutely|great(?:\ question)?|got\ it|alright
        |understood|no\ problem|(?:good|excellent|interesting)\ question|好的|当然(?:可以)?|没问题|好问题)[!,.:，。！：]
    |(?:i['’]d|i\ would|i['’]ll|i\ will|i['’]m)\ (?:be\ )?(?:happy|glad|love|pleased)\ to
        \ (?:help|assist|answer)[^.!\n]*[.!]
    |thank(?:s|\ you)\ for\ (?:your|the|this|asking|sharing)\b[^.!\n]*[.!]
    |let(?:\ me|['’]s)\ (?:look|check|watch|see|take|examine|review|re-?examine)\b[^.!:\n]*[.!:]
    |(?:hi|hello|hey)(?:\ there)?!(?=\s*\S)
    |(?:fixed|done|updated|corrected)[!.](?=\s+\S)
    |(?:so|therefore|thus|hence):|(?:based\ on|from|according\ to|in)\ (?:the|this)\ (?:video|clip)(?:\ \w+)?:
    |(?:i['’]ll\ |i\ will\ |please\ )?answer(?:ing)?\ (?:from|in|with|based|using)\b[^.:\n]{0,60}(?:sentences?
        |words?)\b[^.:\n]{0,20}[.:]
    |to\ answer\ (?:your|the|this)\ question:|(?:yes,\ )?i\ (?:can|will|could)\ (?:\w+\ )?(?:help|answer
        |assist)\b[^.!\n]*[.!]
    |(?:here(?:['’]s|\ is|\ are)|below\ is)\ (?:what|how|the|my|a)\b[^.:\n]{0,60}:(?=\s*\S)
    |(?:the\ |a\ )?(?:video\ |short\ |brief\ )?(?:output|result|description|caption|summary):
    |(?:in\ (?:one|two|a|1|2)(?:\ \w+)?\ (?:sentences?|words?|nutshell)|in\ (?:short|brief|summary)|briefly
        |to\ sum(?:mari[sz]e|\ up)
        |simply\ put|tl;?\ ?dr):
    |[您你]好[！!，,]|(?:感谢|谢谢)[您你]的(?:提问|问题)[，。！])\s*)+""",
    re.IGNORECASE | re.VERBOSE,
)
BOXED = re.compile(r"^[^{}]*\\boxed\{(?:\\text\{)?([^{}]*)\}{1,2}\$?\.?$", re.DOTALL)
"""An answer in a box, behind what leads to it."""
THINKING = re.compile(
    r"""^(?:let['’]s\ (?:think|break|analy[sz]e|go|start|consider|reason)
    |let\ me\ (?:think|analy[sz]e|start|consider|reason)
    |step\ (?:1|one|by)\b|hmm+\b|wait[,.!]|first,?\ (?:i|let|we)\b|so,?\ (?:i|the\ user|the\ question|let)\b
    |i\ (?:need|have|should)\ to\ (?:look|watch|check|analy[sz]e|think|determine|see|figure|find|identify|answer)
    |the\ user\ (?:wants|asks|asked|is\ asking|provided|has\ asked)
    |用户(?:询问|问|想|要求|让)|(?:让我|我们来?)(?:想|思考|分析|一步)|首先[，,]?我)""",
    re.IGNORECASE | re.VERBOSE,
)
"""How a thought begins that isn't marked as one. Its answer is below a label, or can't be told from it."""

SELF = re.compile(
    rf"""^(?:(?:sorry|unfortunately|however|but|yes|no)[,.]?\ )*
        (?:my\ (?:training|knowledge|capabilit|abilit)\w*|{ON_ITSELF})""",
    re.IGNORECASE | re.VERBOSE,
)
"""The model talks about itself."""
SEVERAL = re.compile(r"here are\b[^\n:]*\b(?:answers|versions|options|alternatives)\b[^\n:]*:", re.IGNORECASE)
LET = re.compile(r"^(?:\w+(?: it)?[,.!] )?(?:let(?: me|['’]s)|让我)\b", re.IGNORECASE)
CONCLUSION = re.compile(r"(?:so|therefore|thus|hence)\b[, ]|所以|因此", re.IGNORECASE)
"""How a last paragraph begins whose answer the ones before it lead to."""
SECOND = re.compile(
    r"(?<=[.!。！\"”*])\s*\n\n(?:or\b|alternatively\b|[✅☑✔]|[^\n.!?。！？\"“「]+[?？]).*", re.IGNORECASE | re.DOTALL
)
"""A paragraph with another answer, a question or a list of merits."""
ECHO = re.compile(r"\s*([^\n.!?。！？\"“「]+[?？])[*_]*(?:\s+|(?<=？))(?=\S)")
EMOJI = re.compile(r"\s*[\U0001f300-\U0001f64f\U0001f900-\U0001faff]+\s*$")
FAREWELL = re.compile(
    r"""(?:^|(?<=[^\w\s,])\s+|(?<=[。！？]))(?:i\ hope\b|hope\ (?:this|that|it)\b|(?:please\ )?let\ me\ know|feel\ free
    |(?:is\ there\ )?anything\ else|i['’]m\ (?:always\ )?happy\ to\ help
    |if\ you\ (?:have|need|would\ like)|would\ you\ like|do\ you\ (?:want|need|have\ any)
    |i['’]m\ (?:always\ )?here\ (?:if|to|for)\b
    |does\ (?:this|that)\ (?:help|answer|make\ sense)
    |(?:很高兴)?希望(?:这|以上|对|能|[^。！\n]{0,12}(?:帮助|满意|有用|准确))|(?:以上|这)就是我的(?:回答|答案)|如果[您你](?:还)?(?:有|需要)|如(?:有|需)|请随时|还有(?:什么|其他))[^\n]*$""",
    re.IGNORECASE | re.VERBOSE,
)


def parse_answer(reply: str) -> str:
    """The answer without label, reasoning, echo of the prompt, remarks, farewell, quotes and fences. Raises
    Unparsable."""
    if SELF.match(PREFACE.sub("", visible(reply))):
        raise Unparsable("a refusal")
    return _answer(reply, ("answer", "conclusion", "text", "draft", "remark"))


def parse_revision(reply: str) -> str:
    """As `parse_answer`, and without talk about the answer that it replaces.

    Raises Unparsable, also where such talk is all there is.
    """
    return without_talk(_answer(reply, ("answer", "conclusion", "text", "remark")))


def _answer(reply: str, kinds: Sequence[Kind]) -> str:
    """The last labeled answer of a reply, or else its first text of another kind that holds one, in the given order."""
    text = PREFACE.sub("", visible(reply))
    if refuses(text):
        raise Unparsable("a refusal")
    if (lines := as_lines(text)) is not None:
        text = lines
    if boxed := BOXED.match(text):
        return bare(boxed[1])
    if SEVERAL.match(text):
        raise Unparsable("several answers")
    last = text.rpartition("\n\n")[2]
    if CONCLUSION.match(last) or LET.match(reply):
        text = last
    found = _first_turn(sections(SECOND.sub("", FAREWELL.sub("", text))))
    for kind in kinds:
        of_kind = [
            one.text for one in found if one.kind == kind and not (kind == "conclusion" and JUDGMENT.match(one.text))
        ]
        if not of_kind:
            continue
        if kind == "text" and (found[0].kind == "thought" or THINKING.match(of_kind[0])):
            break
        return bare(without_exchange(_without_echo(PREFACE.sub("", of_kind[0 if kind == "text" else -1]))))
    raise Unparsable("no answer in the reply" if bare(text) else "empty reply")


def _first_turn(found: list[Section]) -> list[Section]:
    """Without a question that the model has gone on to ask itself, and what is below it."""
    if len(found) > 2 and (found[0].kind, found[1].kind) == ("text", "question"):
        text = found[0].text
        if re.search(r"[.!。！]\W*$", text) and not THINKING.match(text):
            return found[:1]
    return found


def _without_echo(text: str) -> str:
    """Without the question in front of the answer, and emoji behind it."""
    if (echo := ECHO.match(text)) and is_question(echo[1]):
        text = text[echo.end() :]
    return EMOJI.sub("", text)
