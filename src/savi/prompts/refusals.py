"""Replies of a model that can't watch, won't help or asks for the video. They hold neither answers nor questions."""

from __future__ import annotations

import re

from savi.prompts.markup import sentences

UNABLE = r"""(?:(?:cannot|can['’]?t|can\ not|could\ not|couldn['’]t|won['’]t)(?:\ \w+ly)?
    |(?:am|['’]m)\ (?:currently\ )?(?:unable|not\ (?:able|allowed|permitted))\ to)"""
SORRY = r"""(?:(?:(?:i['’]?m|i\ am)\ (?:\w+\ )?(?:sorry|afraid)|sorry|unfortunately|apologies
    |i\ (?:sincerely\ )?apologi[sz]e|however|but|regrettably)[,.:;]?\s*(?:that\s+)?)*"""
# Each word can be read in one way only: with two ways, a reply of "but but but …" would take hours.
APOLOGY = rf"{SORRY}(?:i\ understand[^,]{{0,200}}[,.:;]?\s*(?:that\s+)?{SORRY})?"
HELP = r"""(?:view|watch|access|process|analy[sz]e|assist|help|provide|play|open
    |see\ (?:(?:the|this|your|any|a|or)\b[^,.]{0,12}\b)?(?:video|clip|footage|attachment)s?\b
    |fulfil+|comply|complete|discuss|review|verify|evaluate|judge|assess
    |identify\ (?:the\ |real\ |specific\ )*(?:people|persons?|individuals?|anyone|someone)
    |revise|rewrite|correct|improve|refine
    |write|create|generate|answer\ (?:this|that|your|the)\ (?:request|prompt)|do\ that|continue)"""
VIDEO = "(?:video|clip|footage|image|file|attachment|frames?|media)s?"
REFUSAL = re.compile(
    rf"""^(?:{APOLOGY}(?:as\ an?\ (?:[\w-]+\ )*(?:ai|language\ model|llm|assistant)\b(?!\ (?:in|on|of|at|to)\ the))
    |{APOLOGY}as\ an?\ (?:[\w-]+\ )*(?:model|chatbot|program),?\ i\b
    |{APOLOGY}i(?:['’]m|\ am)\ (?:just\ |only\ )?an?\ (?:[\w-]+\ )*(?:ai|model|chatbot|llm)\b
    |{APOLOGY}(?:the|this)\ {VIDEO}\ (?:(?:could(?:\ not|n['’]t)|can(?:\ not|not|['’]t))
            \ be\ (?:accessed|loaded|opened|played|processed)
        |failed\ to\ load)\b(?!\ (?:on|by(?!\ me)|because\ he|because\ she)\b)
    |{APOLOGY}there\ (?:does(?:\ not|n['’]t))\ (?:seem|appear)\ to\ be\ (?:a|any)\ {VIDEO}\b
    |{APOLOGY}i(?:\ {UNABLE}|['’]m\ (?:currently\ )?(?:unable|not\ (?:able|allowed))\ to)\ (?:\w+ly\ )?{HELP}
    |{APOLOGY}i(?:\ do(?:n['’]t|\ not))\ (?:\w+ly\ )?
        (?:have\ (?:\w+\ )?(?:access|the\ (?:ability|capability|means)|enough\ (?:information|context))
        |see\ (?:a|any)\ {VIDEO})
    |{APOLOGY}(?:it\ (?:seems|looks|appears)(?:\ (?:that|like|as\ if))?\s+|there\ (?:is|was|seems\ to\ be)\s+)?
        (?:no|the)\ (?:{VIDEO}\ )?{VIDEO}\ (?:is|was|has\ been|have\ been|were|did)(?:\ not|n['’]t)?\ 
        (?:attached|uploaded|provided|shared|included|given|load(?:ed)?|come\ through|available\ to\ me)
    |{APOLOGY}(?:there\ (?:is|was)\ )?no\ {VIDEO}\ (?:attached|provided|uploaded|to\ (?:watch|analy[sz]e))
    |{APOLOGY}(?:please|could\ you|can\ you)\ (?:please\ )?(?:provide|upload|share|attach|send|describe\ the\ {VIDEO})
    |{APOLOGY}without\ (?:access\ to|seeing|watching|being\ able\ to|the)\b[^,.]*\b(?:{VIDEO}|it)\b
    |{APOLOGY}i\ (?:need|would\ need|['’]d\ need)\ (?:to\ (?:see|watch|view)|access\ to|the)\b[^,.]*\b{VIDEO}\b
    |[^.!?]*\bwhich\ i\ (?:can['’]t|cannot)\ do\b|[^.!?"“]*\byour\ (?:message|prompt|upload|link|attachment)\b
    |(?:it\ seems\ (?:that\ )?)?there(?:['’]s|\ is)\ no\ {VIDEO}\ (?:attached|here|available)
    |{APOLOGY}the\ (?:{VIDEO}\ )?(?:link|file|url)\ (?:does(?:\ not|n['’]t)|did(?:\ not|n['’]t))\ (?:work|open|load)
    |(?:我)?无法(?:播放|观看|查看|访问|打开)(?:该|这个|此)?(?:视频|片段)
    |[^.!?]*\byou\ (?:have(?:\ not|n['’]t)|did(?:\ not|n['’]t))\ (?:attach|upload|share|provide|include)
    |{APOLOGY}(?:this|the)\ (?:request|content|{VIDEO})[^.]*\bagainst\ my\b
    |(?:由于)?(?:(?:很|非常|十分)?(?:抱歉|遗憾)|对不起|不好意思)?[，,。]?\s*(?:但|由于|因为)?
        (?:我(?:目前|暂时|现在)?(?:无法|不能|没有办法|没法)(?:直接|实际)?
            (?:查看|观看|访问|播放|分析|看到|识别|处理|打开|提供|协助|帮助)
        |我(?:看不到|看不见|没有?(?:看到|收到))[^，。]{{0,6}}(?:视频|片段|附件)
        |作为(?:一个|一名|一款)?\s*[^，。]{{0,6}}(?:AI|人工智能|模型|助手|基于文本))
    |(?:(?:很|非常)?抱歉|对不起)[，,]?我(?:无法|不能)|请(?:您)?(?:先)?(?:提供|上传|分享)(?:该|这个|一下)?(?:视频|片段))""",
    re.IGNORECASE | re.VERBOSE,
)
"""How a sentence begins in which the model can't watch or help. That a clip doesn't show something is an answer, and no
refusal: "I cannot tell which hand he uses"."""

QUOTE = re.compile(r"[\"“”「」]")


def refuses(text: str) -> bool:
    """Whether any sentence of a text, outside quotes, says that the model can't watch or help."""
    quotes = 0
    for sentence in sentences(text):
        if quotes % 2 == 0 and REFUSAL.match(sentence.lstrip("*_#> ")):
            return True
        quotes += len(QUOTE.findall(sentence))
    return False
