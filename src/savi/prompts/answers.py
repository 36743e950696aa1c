"""A reply to the answer or the revision in it, as if nobody had proposed another answer.

Labels, echoes of the prompt, apologies, farewells and remarks about other texts go. A reply that consists of them
alone holds no answer.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from savi.prompts.labels import Kind, as_lines, sections
from savi.prompts.markup import Unparsable, bare, visible
from savi.prompts.question_form import is_question
from savi.prompts.refusals import refuses
from savi.prompts.talk import JUDGMENT, without_talk

PREFACE = re.compile(
    r"""^(?:(?:(?:sure(?:\ thing)?|certainly|of\ course|okay|ok|absolutely|great(?:\ question)?|got\ it|alright
        |understood|no\ problem|(?:good|excellent|interesting)\ question|好的|当然(?:可以)?|没问题|好问题)[!,.:，。！：]
    |(?:i['’]d|i\ would|i['’]ll|i\ will|i['’]m)\ (?:be\ )?(?:happy|glad|love|pleased)\ to
        \ (?:help|assist|answer)[^.!\n]*[.!]
    |thank(?:s|\ you)\ for\ (?:your|the|this|asking|sharing)\b[^.!\n]*[.!]
    |let(?:\ me|['’]s)\ (?:look|check|watch|see|take|examine|review|re-?examine)\b[^.!\n]*[.!:]
    |(?:hi|hello|hey)(?:\ there)?!(?=\s*\S)
    |to\ answer\ (?:your|the|this)\ question:
    |(?:感谢|谢谢)[您你]的(?:提问|问题)[，。！])\s*)+""",
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
    |(?:让我|我们来?)(?:想|思考|分析|一步)|首先[，,]?我)""",
    re.IGNORECASE | re.VERBOSE,
)
"""How a thought begins that isn't marked as one. Its answer is below a label, or can't be told from it."""

EMOJI = re.compile(r"\s*[\U0001f300-\U0001f64f\U0001f900-\U0001faff]+\s*$")
FAREWELL = re.compile(
    r"""(?:^|\s+|(?<=[。！？]))(?:i\ hope\ (?:this|that)|hope\ (?:this|that)|(?:please\ )?let\ me\ know|feel\ free
    |(?:is\ there\ )?anything\ else|i['’]m\ (?:always\ )?happy\ to\ help
    |if\ you\ (?:have|need|would\ like)|would\ you\ like|do\ you\ (?:want|need)
    |does\ (?:this|that)\ (?:help|answer|make\ sense)
    |(?:很高兴)?希望(?:这|以上|对)|如果[您你](?:还)?(?:有|需要)|如(?:有|需)|请随时|还有(?:什么|其他))[^\n]*$""",
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
    found = sections(FAREWELL.sub("", text))
    for kind in kinds:
        of_kind = [
            one.text for one in found if one.kind == kind and not (kind == "conclusion" and JUDGMENT.match(one.text))
        ]
        if not of_kind:
            continue
        if kind == "text" and (found[0].kind == "thought" or THINKING.match(of_kind[0])):
            break
        return bare(_without_echo(PREFACE.sub("", of_kind[0 if kind == "text" else -1])))
    raise Unparsable("no answer in the reply" if bare(text) else "empty reply")


def _without_echo(text: str) -> str:
    """Without the question on a line of its own above the answer, and emoji behind it."""
    head, _, rest = text.strip().partition("\n")
    text = rest if rest.strip() and head.rstrip("*_ ").endswith(("?", "？")) and is_question(head) else text
    return EMOJI.sub("", text)
