"""Talk of the exchange itself: acknowledgements, greetings, offers, promises, placeholders. It says nothing of a clip.

Such talk has a small vocabulary. A sentence is talk if it has one of the phrases below, and all its other words are
ones that say nothing by themselves. "Got it." is talk; "He has got it from the shelf." names things, and is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

from savi.prompts.markup import Unparsable

BEGINNING = r"(?:^|(?<=[,.!;:]\s))[*_\"“(\[#>\s-]{0,6}"
NOUN = r"""(?:answers?|response|reply|revision|draft|questions?|critique|verdict|text|output|content|video|clip|image
    |placeholder|here)"""
"""What placeholders and announcements name: "[Your answer here]"."""

PHRASE = re.compile(
    rf"""{BEGINNING}(?:(?:sure(?:\ thing)?|certainly|of\ course|absolutely|definitely|gladly|okay|ok|alright|all\ right)
            (?=\W*$|\s?[^\w\s'’]|\ (?:i|let|please|you)\b)
        |got\ (?:it|that|you)|noted|understood|acknowledged|roger(?:\ that)?|copy\ that|very\ well|fair\ enough
        |will\ do|on\ it(?=!)|no\ (?:problem|worries)|not\ a\ problem|consider\ it\ done|sounds\ good|works\ for\ me
        |(?:here|there)\ (?:you\ (?:go|are)|it\ is|we\ go)|voil[aà]|as\ (?:requested|instructed|asked|promised|above
        |follows)
        |(?:hello|hi|hey)(?:\ there)?|greetings|good\ (?:morning|afternoon|evening|day)|welcome|thanks|thank\ you|cheers
        |pleasure|any\ ?time|right\ away|challenge\ accepted|point\ taken|nice\ to\ meet\ you|bye|goodbye|lgtm|n/?a|tbd
        |nan|null|undefined|none\ provided|right(?=,\ i\b)
        |(?:(?:one|just\ a|a)\ (?:moment|second|minute|sec)|hold\ on|bear\ with\ me|stand\ by)
        |(?:great|good|excellent|interesting|nice)\ (?:question|prompt|request|video|clip)
        |what\ an?\ \w+\ (?:question|video|clip)|(?:done|fixed|updated|revised|corrected)(?=\W*$|\ as\b)
        |(?:great|perfect|excellent|wonderful|awesome|cool|hm+|um+|uh+|ah|oh)(?=[\s.,!…]*$|[.,!…]\s)
        |(?:not\ applicable|to\ be\ determined|no\ (?:answer|response|output|text)(?:\ (?:given|provided))?)(?=\W*$)
        |this\ is\ (?:just\ |only\ )?a\ test|(?:the\ )?task\ (?:is\ |was\ )?(?:complete|completed|done|accomplished)
        |(?:analy[sz]|process|review|load|generat|evaluat|check|watch|think|answer)ing
            (?=\s*(?:\.{{3}}|…)|\ now\b|\ (?:the|your|this)\ {NOUN}\b))\b
    |\bi(?:['’](?:ll|d|m|ve)|\ (?:hear|got|appreciate|will|would|am|have|can|could|shall|hope|understand
        |agree|disagree|acknowledge))\b
    |\blet(?:\ me|['’]s|\ us)\b(?:\ see\b)?|\b(?:you['’](?:re|ve|d|ll)|(?<=\w\W)you|you(?=\W+\w)|yours?)\b
    |\bplease\b|\bmy\ pleasure\b|\bwhat(?:['’]s|\ is)\ (?:next|the\ question)(?=\W*$)
    |^\W*(?:why|how|what|who|when|where|which|ready|really|okay|ok)\?\W*$
    |\b(?:send|give|tell|show)\ me\b|\bhere(?:['’]s|\ is|\ are)\ (?:the|my|your|an?)\ (?:\w+\ )?{NOUN}(?=\W*$)
    |\b(?:revision|update|change|edit|correction)s?\ (?:(?:has\ been|have\ been|was|were|is|are)\ )?(?:completed?
        |applied|made|done|implemented)\b
    |{BEGINNING}(?:implemented|applied|incorporated|addressed|followed)\ (?:the|your|all)\b
    |\b(?:happy|glad|pleased|ready|here)\ to\b|\banything\ else\b|\bis\ there\ (?:any|some)thing\b
    |\b(?:more|other|further|additional|enough)\ questions?\b|\bgo\ ahead\b
    |\b(?:see|as|answer|response|listed|given|stated|shown)\ (?:is\ |are\ )?(?:above|below)\b
    |\b(?:answers?|response|reply|draft|revision|questions?)\ (?:(?:has\ been|have\ been|was|is|are)\ )?(?:submitted
        |provided|given|updated|corrected|revised|improved|ready|below|above|follows?)\b
    |\bsee\ the\ (?:video|answer|draft|notes|response)\b|\bwatch\ the\ (?:video|clip)\ to\b
    |\bend\ of\ (?:the\ )?{NOUN}\b|\bas\ an?\ (?:\w+\ ){{0,2}}(?:critic|assistant|reviewer|ai|model)\b
    |\b(?:one|two|1|2|three)\ (?:or\ \w+\ )?sentences?\b|\bper\ line\b
    |\b(?:is|was|are)\ (?:this|that|these|it)\ (?:better|okay|ok|fine|clear|alright|helpful|what)\b
    |[\[<{{【(]\W{{0,4}}(?:(?:your|the|a|an|my|insert|enter|write|add|revised|improved|corrected|final|new|short
        |actual)\ )*
        {NOUN}(?:\ (?:\d+|here|text|goes|below))*\W{{0,4}}[\]>}}】)]
    |^\W*(?:questions?|answer|item)\ (?:\d+|one|two|three|four)\W*$
    |好的|收到|明白|了解|知道了|没问题|当然(?:可以)?(?=[，,。！!]|$)|辛苦|遵命|马上|没有?(?:异议|意见)|(?:^|(?<=[，。！]))[嗯哦噢](?=[，,。！]|$)
    |完毕|稍[等候后]|不客气|[您你]好|谢谢|感谢|(?:高兴|乐意|愿意)(?=[\u4e00-\u9fff])|为[您你]服务
    |已(?:经)?(?:按照?|根据)?(?:[您你]的)?(?:要求|反馈|意见|批注|建议)?(?:进行)?(?:了)?(?:修改|更正|更新|完成|修正
        |改正|调整|改好|订正)
    |(?:修改|更新)完成|(?:如|见|同)[上下](?:所[述示])?|以[下上](?:是|为)|让我|请|[您你](?=[\u4e00-\u9fff])|(?<=[\u4e00-\u9fff])[您你]
    |我(?:会|将|来|再|先|已|这就|重新|可以|能|同意|不同意|理解)
    |(?:好|很好)的?问题|更多问题|其他(?:问题|需要)|(?:可以|行|对|好)吗|作为[^，。]{{0,8}}(?:评论家|批评者|评审|助手)""",
    re.IGNORECASE | re.VERBOSE,
)
"""What makes a sentence talk, if it says nothing else."""

IDLE = frozenset(
    "i me my mine we us our you your yours it its this that these those here is are am was were "  # noqa: SIM905 (a word each)
    "be been will would can could may might shall should do does did have has had having a an the and or so then but "
    "if to of for with in on at from as by about into today than just now very much really too also again still "
    "always soon any all every some what how which when whether who else other more further additional new next "
    "following let lets want wanted need needed like love try trying attempt know tell ask asking help helping assist "
    "assistance answer answers answering answered question questions reply response responses respond request "
    "requests instruction instructions task format prompt draft notes note feedback critique critic criticism "
    "critically review reviewing reviewed reviewer verdict version sentence sentences word words video videos clip "
    "clips footage provide provided providing give given giving write writing written read reading follow followed "
    "use using used based watch watching watched view viewing viewed look looking check checking analyze analyse "
    "analyzing analysis compare comparing evaluate evaluating act acting strict think thinking thought consider start "
    "starting started begin beginning continue proceed go going get getting make making made share sharing send "
    "upload clarify explain describe details information anything something moment minute sec time carefully closely "
    "correctly accordingly shortly quickly happy glad pleased ready sure okay ok fine great good nice best better "
    "helpful clear thanks thank welcome hope understand mean prefer work works change changes fix fixed revise "
    "revised revising update updated correct corrected apply applied rewrite rewritten improve improved improvement "
    "improvements corrections correction adjust adjusted edit edited end done complete completed final find out line "
    "per ai model language assistant guess service afraid requested instructed received successfully suggestions "
    "points account take taken appreciate message specific it's that's what's here's there's don't doesn't didn't "
    "can't won't isn't aren't haven't".split()
)
"""Words that say nothing about a clip next to such a phrase."""

IDLE_CHINESE = frozenset(
    "我您你们的了这那是会将来请帮忙助可以能什么哪些有为服务问题答案回复视频看观根据按照要求需修改更正面如"
    "述评价批判分析意见反馈指一个好很再试次等稍候吗呢吧啊在和与并就先也都还多其他任何想知道提供上传描说明"
    "内容进行已经完成对不用客气谢感随时告诉所原草稿注同理解白继续开始写生给出比较它作严格论家者手"
)
"""The same, character by character: Chinese has no blanks between words."""

END = re.compile(r"(?<=[.!?])[\"”’)*_]*\s+|(?<=[。！？])[\"”’）」*_]*|\n+")
QUOTED = re.compile(r"^\s*[\"“「].*[\"”」]\W*$", re.DOTALL)
"""What somebody says or what is written in a clip."""
WORD = re.compile(r"[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+(?:['’][^\W_\u3400-\u9fff]+)?")


def is_exchange(sentence: str) -> bool:
    """Whether a sentence is talk of the exchange and nothing else."""
    if QUOTED.match(sentence):
        return False
    rest, phrases = PHRASE.subn(" ", sentence)
    return phrases > 0 and all(word in IDLE or word in IDLE_CHINESE for word in WORD.findall(rest.lower()))


def without_exchange(text: str, is_talk: Callable[[str], bool] = is_exchange) -> str:
    """Without sentences at both ends that are talk, and talk in front of a colon ("As requested: …").

    Raises Unparsable where nothing else is left, or a label alone.
    """
    ends = [0, *(match.end() for match in END.finditer(text)), len(text)]
    parts = [text[start:end] for start, end in pairwise(ends)]
    talk = [is_talk(part) for part in parts]
    said = [at for at, part in enumerate(parts) if re.search(r"\w", part) and not talk[at]]
    if not said and any(talk):
        raise Unparsable("talk, and nothing about the clip")
    if said and any(talk):
        first = said[0] if any(talk[: said[0]]) else 0
        last = said[-1] + 1 if any(talk[said[-1] :]) else len(parts)
        text = "".join(parts[first:last]).strip()
    head, colon, rest = text.partition(":")
    if colon and re.search(r"\w", rest) and is_talk(head):
        text = rest.strip()
    if "\n" not in text.strip() and text.rstrip(" *_\n").endswith((":", "：")):
        raise Unparsable("a label without a text")
    return text
