"""What a question or an answer is about, by its words: the task instead of the clip, nothing that can be seen, time
or space."""

from __future__ import annotations

import re

from savi.prompts.answers import CHINESE_EARLIER, EARLIER
from savi.types import Aspect

TASK = re.compile(
    rf"""\b(?:the|this|that|your|my|an?)\s+(?:{EARLIER}|revised|improved|corrected|updated)\s+
        (?:answer|reply|response)\b
    |\b(?:the|your|this|my)\s+(?:critique|criticism|feedback|critic)\b
    |\bas\ an?\ (?:\w+\ )?(?:ai|language\ model|assistant)\b
    |\b(?:the|this|your)\s+(?:prompt|instructions?)\b
    |\b(?:i\ apologi[sz]e|my\ apologies|apologies\ for|thank\ you\ for|you['’]re\ (?:absolutely\ )?right
        |you\ are\ (?:absolutely\ )?(?:right|correct))\b
    |\bthe\ answer\ (?:is|was|should\ be)\ (?:in)?(?:correct|accurate|complete|wrong|right)\b
    |\bno\ (?:changes?|corrections?|revisions?)\ (?:are|is|were|was)?\s*(?:needed|necessary|required|made)\b
    |{CHINESE_EARLIER}|(?:批评|评论|反馈)(?:意见)?(?:指出|正确|认为|提到)|作为(?:一个|一名)?(?:AI|人工智能)""",
    re.IGNORECASE | re.VERBOSE,
)
UNSEEN = re.compile(
    r"""\b(?:can\s*not|can['’]?t|could\s*n['’]?t|could\ not|unable\ to)\s+(?:be\s+)?(?:\w+ly\s+)?
        (?:determined?|answered?|identif(?:y|ied)|inferred?|infer|known|tell|told|see\ (?:which|what|who|where|how|when)
        |say|specified|ascertained?|confirmed?|concluded?)\b
    |\b(?:it\ is|it['’]s)\s+(?:not\ (?:possible|clear|visible|shown|specified|stated|known|mentioned)|unclear|impossible
        |unknown|hard\ to\ (?:tell|say)|difficult\ to\ (?:tell|say|determine))\b
    |\b(?:the|this)\s+(?:video|clip|footage)\s+(?:does\s*n['’]?t|does\ not|do\ not|never)\s+(?:\w+ly\s+)?
        (?:show|provide|specify|contain|mention|indicate|reveal|depict|include|give|say|tell|explain)\b
    |\b(?:not\ enough|insufficient|no)\s+(?:information|evidence|context|indication)\b
    |\b(?:is|are|was|were)\s+not\s+(?:shown|visible|specified|mentioned|depicted|clear|stated)
        (?:\s+in\s+(?:the|this)\s+(?:video|clip))?\s*[.!]?$
    |无法(?:确定|判断|看出|得知|回答|辨别|确认)|(?:视频|片段|画面)(?:中|里)?(?:并)?(?:没有|未)(?:显示|提到|说明|展示|提供|出现)
    |不(?:清楚|确定|可见)(?:[。！]|$)|信息不足""",
    re.IGNORECASE | re.VERBOSE,
)
YES_OR_NO = re.compile(
    r"^\W*(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would)\b|吗\W*$|是否|有没有", re.IGNORECASE
)
TEMPORAL = re.compile(
    r"""\b(?:before|after|afterwards?|then|first(?!\ (?:name|floor))|last|next(?!\ to)|finally|eventually|initially
        |begin|beginning|begins|start|starts|started|starting|end|ends|ending|when|while|during|order|sequence|happen|happens
        |happened|change|changes|changed|changing|move|moves|moved|moving|movement|motion|direction|cause|causes|caused
        |why|become|becomes|turn\ into|turns|result|earlier|later|until|once|events?|how\ long|how\ often
        |how\ many\ times        |speed|appears?\ (?:first|last)|over\ time|transition|progress
        |follow|follows|followed|prior|subsequently)\b
    |之前|之后|然后|首先|最后|开始|结束|顺序|变化|移动|运动|为什么|发生|过程|先|接着""",
    re.IGNORECASE | re.VERBOSE,
)
SPATIAL = re.compile(
    r"""\b(?:where|left|right|above|below|beneath|behind|in\ front\ of|next\ to|beside|between|colou?rs?|shape|shapes
        |how\ many(?!\ times)|number\ of|wearing|wears|background|foreground|position|positioned|located|location|size
        |bigger|larger|smaller|top|bottom|corner|near|inside|outside|pattern|centre|center|middle|holding|text|texture
        |made\ of|material|placed|arranged|distance|relative\ to)\b
    |哪里|哪儿|左|右|上方|下方|旁边|前面|后面|颜色|形状|多少|几个|位置|背景|中间""",
    re.IGNORECASE | re.VERBOSE,
)


def talks_about_task(text: str) -> bool:
    """Whether a text mentions the proposed answer, the critique, the critic or the prompt, which no clip shows."""
    return bool(TASK.search(text))


def says_unanswerable(question: str, answer: str) -> bool:
    """Whether an answer says that the clip doesn't tell. To "Is there a dog?" that it shows none is an answer."""
    return not YES_OR_NO.search(question) and bool(UNSEEN.search(answer))


def aspect_of(question: str) -> Aspect | None:
    """What a question asks about, by its words; None where they speak of both or of neither."""
    temporal, spatial = bool(TEMPORAL.search(question)), bool(SPATIAL.search(question))
    if temporal == spatial:
        return None
    return "temporal" if temporal else "spatial"
