"""What a question or an answer is about, by its words: the task instead of the clip, nothing that can be seen, time
or space."""

from __future__ import annotations

import re

from savi.prompts.talk import CHINESE_EARLIER, EARLIER
from savi.types import Aspect

JUDGING = (
    "(?:is|are|was|were|says?|said|states?|notes?|mentions?|claims?|suggests?|indicates?|identif(?:y|ies)|highlights?"
    "|points?\\ out|correctly|incorrectly|rightly|wrongly|agrees?|confirms?|misses|missed)"
)
"""How a text goes on that says what a critic, a draft or notes on it have said."""

TASK = re.compile(
    rf"""\b(?:the|this|that|your|my|an?)\s+(?:{EARLIER}|revised|improved|corrected|updated)\s+
        (?:answer|reply|response)\b(?!\ (?:team|time|unit|vehicle|(?:on|in|of)\ the\ (?:\w+\ )?(?:quiz|board|test|chat
        |list|thread)))
    |\b(?:the|your|this|that|my)\s+(?:critique|criticism|feedback)\b|\banswering\ the\ question\b|\bthe\ notes:
    |\b(?:the|your|this)\s+(?:critic|draft|notes?)\s+{JUDGING}\b|\bnotes?\ on\ the\ draft\b
    |\b(?:the|your|no)\ draft(?:['’]s)?\b(?!\ (?:of|for|from|horses?|beers?|picks?)\b)
    |\b(?:based\ on|given|with\ the\ help\ of|following)\ the\ notes?\b|\bthe\ reviewer\ is\ (?:right|correct|wrong)\b
    |\bas\ you\ (?:pointed\ out|noted|mentioned|stated|said|suggested)\b
    |\bas\ (?:pointed\ out|noted|mentioned|stated|requested|suggested)(?=\s*[,.]|\ (?:above|before|earlier)\b
        |\ in\ the\ notes)
    |\bas\ (?:previously|originally|initially)\ (?:stated|said|mentioned|claimed|noted)\b
    |\bi\ (?:made\ a\ mistake|was\ (?:wrong|mistaken)|misread|overlooked)\b|\bmy\ (?:initial|previous|earlier)\b
    |\bthe\ question\ (?:asks|is\ about|refers)\b|\byou\ asked\b
    |\b(?:the|this|your|my)\ (?:answer|response|draft|reply)\ (?:should(?!\ be\b)|must|needs?\ to|ought\ to)\b
    |\bshould\ (?:be|have\ been)\ (?:corrected|revised|reworded|amended)\b
    |\bthe\ verdict(?:\ is|:)\s*(?:in)?(?:right|wrong|correct)\b|\(correction\)
    |\b(?:according\ to|contrary\ to|unlike|as\ in)\ the\ (?:critic|draft|notes?)\b(?!\ (?:of|for)\b)
    |\bas\ an?\ (?:\w+\ )?(?:ai|language\ model)\b|\bas\ an?\ (?:\w+\ )?assistant,?\ i\b
    |\byour\ (?:prompt|instructions?|request|question)\b
    |\bthe\ (?:prompt|instructions?)\ (?:says?|asks?|states?|requires?|given|above)\b
    |(?<!["“‘'])\b(?:i\ apologi[sz]e|my\ apologies|(?:apologies|sorry)\ for\ (?:the|my|any)\ (?:\w+\ )?
        (?:mistake|confusion|error|oversight|inaccuracy))\b
    |\bthank\ you\ for\ (?:pointing|correcting|catching|bringing|clarifying|(?:the|your)\ (?:\w+\ )?
        (?:correction|clarification|feedback|notes?|critique))\b
    |\b(?:you['’]re|you\ are)\ (?:absolutely\ )?(?:right|correct)\b
    |\bi\ (?:have\ )?(?:corrected|revised|updated|rewritten)\b|\bi['’]ve\ (?:corrected|revised|updated|rewritten)\b
    |\b(?:dis)?agree\ with\ the\ (?:verdict|draft|notes?|answer|critic)\b
    |\b(?:the|this|that)\ answer\ (?:is|was|should\ be)\ (?:in)?(?:correct|accurate|complete|wrong|right)\b
    |\b(?:errors?|mistakes?|issues?)\ in\ the\ answer\b
    |\bno\ (?:changes?|corrections?|revisions?)\ (?:are|is|were|was)?\s*(?:needed|necessary|required|made)\b
    |(?:^|[.!?]\s+)\**(?:correction|verdict|revised|improved|corrected)(?:\ version)?\**\s*[:：]
    |{CHINESE_EARLIER}|(?:批评|评论|反馈)(?:意见)?(?:指出|正确|认为|提到)|作为(?:一个|一名)?(?:AI|人工智能)
        |草稿(?:中|里|说|的|有|是|无|不|已)
    |(?:抱歉|对不起)[，,]\s*我|[你您]说得对|(?:^|[，。；\s]|该|这个)答案是?(?:正确|错误|不正确|不对|准确|有误)
    |(?:无需|不需要|无须|不用)(?:任何)?(?:修改|更改|更正)|结论[:：]\s*(?:正确|错误)
    |(?:谢谢|感谢)[您你]的|我(?:之前|刚才)[的说]|我不?同意|题目(?:问|要求)|(?:答案|回答)(?:应|需|有待)
    |(?:根据|按照|基于|结合|正?如|与|和)(?:上述|以上|该|[您你]的)?(?:批评|批注|反馈|评论|评价|意见|草稿|初稿)|[您你]所?(?:指出|提到|说)的""",
    re.IGNORECASE | re.VERBOSE,
)
SEEN = (
    "(?:determined?|answer(?:ed)?|identif(?:y|ied)|infer(?:red)?|known?|tell|told"
    "|see\\ (?:which|what|who|where|how|when)|make\\ out|say|said|specif(?:y|ied)"
    "|ascertain(?:ed)?|confirm(?:ed)?|conclude(?:d)?)"
)
CLAUSE = (
    r"(?=\s*(?:[.;!]|,(?!\ but)|$)|\s+(?:from|in|what|who|why|which|whose|how|where|when|whether|if|that|based|to)\b)"
)
CLIP = "(?:(?:given|provided)\\ )?(?:videos?|clips?|footage|frames?|images?)(?:\\ (?:provided|given|shown))?"
DOES_NOT = r"(?:does\s*n['’]?t|does\ not|do\s*n['’]?t|do\ not|never)\s+(?:\w+ly\s+)?"
UNKNOWN = re.compile(
    rf"""(?<!["“])(?:
    \b(?:can\s*not|can['’]?t|could\s*n['’]?t|could\ not)\s+be\s+(?:\w+ly\s+)?{SEEN}\b
    |(?:^|\b(?:i|we|you|one|viewers?)\s+|[.,;]\s+)(?:can\s*not|can['’]?t|could\s*n['’]?t|could\ not
        |(?:(?:am|are)\s+)?unable\ to)\s+(?:\w+ly\s+)?{SEEN}\b
    |\b(?:i['’]m|(?:i|we)\ (?:am|are))\ (?:unable|not\ able)\ to\s+(?:\w+ly\s+)?{SEEN}\b
    |\b(?:it\ is|it['’]s)\s+(?:not\ (?:possible|known)|unclear|impossible|unknown|(?:hard|difficult)\ to
        \ (?:tell|say|determine)(?=\s*(?:[.,;!]|$)|\s+(?:from|wh\w+|how|if|exactly)\b))\b
    |\bit\ (?:is\ not|isn['’]t)\ (?:clear|certain){CLAUSE}
    |\b(?:i\ am|i['’]m|we\ are)\ not\ (?:sure|certain)\b|\b(?:i|we)\ (?:do\ not|don['’]t)\ (?:know|have\ enough)\b
    |\b(?:is|are|was|were|remains?)\s+(?:unknown|unclear|unspecified|unidentifiable){CLAUSE}
    |^(?:unknown|unclear|n/a|not\ (?:clear|sure|specified|stated|mentioned|shown|visible))\W*$
    |(?:\b(?:not\ (?:\w+\ )?enough|insufficient|no)|n['’]t\ (?:\w+\ )?enough)\s+(?:information|evidence|context
        |indication|details?)\b|\bnot\ sufficient\b
    |\bno\ (?:way\ (?:to\ (?:tell|know|say)|of\ (?:telling|knowing|saying))|clues?|hints?)\b
    |(?:have|^)\s*no\ (?:idea|clue)(?=\W*$|\ (?:wh|how|if|about))
    |\bit\ (?:is\ not|isn['’]t)\ possible\b|\bnothing\ in\ (?:the|this)\ {CLIP}\ (?:indicates|shows|tells|suggests
        |reveals|says)\b
    |\b(?:the|this)\s+{CLIP}\s+{DOES_NOT}(?:(?:provide|specify|indicate|reveal|give|say|tells?|explain)\b
        |(?:show|mention)\ (?:this|that|it|if|whether|wh\w+|how)\b)
    |\b(?:the|this)\s+{CLIP}\s+{DOES_NOT}make\ (?:this|that|it)\ clear\b
    |^(?:this|that)\ (?:is|was)(?:\ not|n['’]t)\ (?:shown|visible|depicted|clear)\b
    |^(?:this|that|it)\ (?:is|was)(?:\ not|n['’]t)\ (?:specified|stated|mentioned)\b
    |(?:视频|片段|画面)(?:中|里)?(?:并)?(?:没有|未)(?:提到|说明|提供|给出|交代|透露)
    |无[法从](?:确定|判断|看出|得知|回答|辨别|确认)|看不出|(?:^|[，。])我?不(?:知道|清楚)|没有足够的?信息
    |不(?:清楚|确定)(?:[。！]|$)|信息不足)""",
    re.IGNORECASE | re.VERBOSE,
)
"""The one who answers doesn't know. That a person in the clip can't see or tell something is an answer."""

NOT_SHOWN = re.compile(
    rf"""\b(?:the|this)\s+{CLIP}(?:\s+{DOES_NOT}(?:show|contain|mention|depict|include)\b|\s+lacks\b)
    |\b(?:is|are|was|were)(?:\s+not|n['’]t|\s+never)\s+(?:shown|available|provided|revealed|explained|given|visible
        |specified|mentioned|depicted|clear|stated|identifiable)
        (?:\ or\ \w+)?(?:\s+in\s+(?:the|this)\s+(?:video|clip))?\s*[.!]?$
    |\bit\ (?:is\ not|isn['’]t)\ (?:visible|shown)\b
    |\bcan(?:not|['’]t|\ not)\ be\ seen(?:\ in\ (?:the|this)\ {CLIP})?\s*[.!]?$
    |^(?:there\ (?:is|are)\ )?no\ such\b(?=.*\b(?:video|clip|appears?|shown|seen|visible)\b)
    |\bnone\ of\ (?:this|that)\ (?:can\ be\ seen|is\ (?:shown|visible))\b
    |\bthere\ (?:is|are)\ no\ [^,.]{{1,30}}\ (?:visible|shown|in)\ (?:in\ )?(?:the|this)\ {CLIP}\b
    |(?:视频|片段|画面)(?:中|里)?(?:并)?(?:没有|未)(?:显示|展示|出现)|不可见(?:[。！]|$)""",
    re.IGNORECASE | re.VERBOSE,
)
"""The clip doesn't show it. To a question whether it does, that is an answer."""

ASKS_WHETHER = re.compile(
    r"^\W*(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would)\b|吗\W*$|是否|有没有"
    r"|\bhow\ many\b|\bnumber\ of\b|几[个只条辆位名张把件次]|多少",
    re.IGNORECASE,
)
"""A question that absence answers, by no or none."""

ASKS_CLARITY = re.compile(
    r"\b(?:clear(?:ly)?|clarity|visible|visibility|readable|legible|blurry|blurred|sharp)\b|清[楚晰]|看得清|模糊",
    re.IGNORECASE,
)
ASKS_STATE = re.compile(
    r"""\b(?:state|condition|quality|appearance)\ of\b|\blooks?\ like\b|\bhow\ (?:do|does|did)\b.*\blook\b
    |\b(?:wrong|problem)\ with\b
    |\bwhat\ (?:is|are|was|were)\b.*\blike\b|什么样|怎么样|怎样|状态|状况|质量""",
    re.IGNORECASE | re.VERBOSE,
)
NOT_CLEAR = re.compile(
    r"""^(?:no,?\s+|不[，,]\s*)?(?:(?P<it>it|this|that)|(?:the|its|his|her|their|these)\s+(?:[\w'’-]+\s+){1,4}?)
        \s*(?:is|are|was|were|looks?|seems?|appears?)\s*(?:(?:not|n['’]t)\s+(?:very\s+|quite\s+|fully\s+)?
            (?:clear|visible|readable|legible)|unclear)\s*(?:[.,;!]|$)
    |^(?!原因|答案)(?P<chinese>[\u4e00-\u9fff]{0,8})(?:不|不太|不够|不是很)(?:清[楚晰])(?:[。，！]|$)""",
    re.IGNORECASE | re.VERBOSE,
)
"""That a thing isn't clear, which is an answer where a question asks for that, and otherwise none."""

TEMPORAL = re.compile(
    r"""\b(?:before|after|afterwards?|then|first(?!\ (?:name|floor))|last|next(?!\ to)|finally|eventually|initially
        |begin|beginning|begins|start|starts|started|starting|end|ends|ending|when|while|during|order|sequence
        |happen|happens
        |happened|change|changes|changed|changing|move|moves|moved|moving|movement|motion|direction|cause|causes|caused
        |why|become|becomes|turn\ into|turns|result|earlier|later|until|once|events?|how\ long|how\ often
        |how\ many\ times|speed|appears?\ (?:first|last)|over\ time|transition|progress
        |follow|follows|followed|prior|subsequently)\b
    |之前|之后|然后|首先|最后|开始|结束|顺序|变化|移动|运动|为什么|发生|过程|先(?![生进])|接着|[几少]次""",
    re.IGNORECASE | re.VERBOSE,
)
SPATIAL = re.compile(
    r"""\b(?:where|(?<!has\ )(?<!have\ )(?<!had\ )(?<!who\ )left(?!\ the\b)|right
        |above|below|beneath|behind|in\ front\ of|next\ to|beside|between|colou?rs?|shape|shapes
        |how\ many(?!\ times)|number\ of|wearing|wears|background|foreground|position|positioned|located|location|size
        |bigger|larger|smaller|top|bottom|corner|near|inside|outside|pattern|centre|center|middle|holding|text|texture
        |made\ of|material|placed|arranged|distance|relative\ to)\b
    |哪里|哪儿|左|右|上方|下方|旁边|前面|后面|颜色|形状|多少(?!次)|几[个只条辆位名张把件]|位置|背景|中间""",
    re.IGNORECASE | re.VERBOSE,
)


def talks_about_task(text: str) -> bool:
    """Whether a text mentions the proposed answer, the critique, the critic or the prompt, which no clip shows."""
    return bool(TASK.search(text))


def says_unanswerable(question: str, answer: str) -> bool:
    """Whether an answer says that the clip doesn't tell. To "Is there a dog?" that it shows none is an answer, and
    so is "The sign is not clear" to what the sign looks like."""
    if unclear := NOT_CLEAR.match(answer):
        named = not unclear["it"] and unclear["chinese"] != ""
        if ASKS_CLARITY.search(question) or (named and ASKS_STATE.search(question)):
            return False
    return bool(UNKNOWN.search(answer)) or (not ASKS_WHETHER.search(question) and bool(NOT_SHOWN.search(answer)))


def aspect_of(question: str) -> Aspect | None:
    """What a question asks about, by its words; None where they speak of both or of neither."""
    temporal, spatial = bool(TEMPORAL.search(question)), bool(SPATIAL.search(question))
    if temporal == spatial:
        return None
    return "temporal" if temporal else "spatial"
