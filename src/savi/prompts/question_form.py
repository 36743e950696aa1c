"""The form of a question: what tells one from a statement, a refusal and a question to whoever asked for questions."""

from __future__ import annotations

import re

from savi.prompts.exchange import is_exchange
from savi.prompts.markup import sentences
from savi.prompts.refusals import refuses

TO_THE_USER = re.compile(
    r"""^(?!(?:(?:can|could)\ you\ )?(?:please\ )?(?:tell|show)\ me\ (?:wh(?!at\ (?:the\ (?:video|clip)|you))
        |how))(?:would\ you\ (?:like|prefer)|do\ you\ (?:want|need|have)|shall\ i|should\ i|may\ i|let\ me\ know
    |is\ there\ anything|does\ (?:this|that)\ help|how\ (?:does|do)\ (?:this|these|that)\ (?:look|sound)
    |what\ would\ you\ like
    |(?:could|can|would|will)\ you\ (?:please\ |kindly\ |perhaps\ |also\ )?
        (?!see\b|tell\ (?!me\ (?:more|what\ the\ video))
        |say\b|name\b|count\b|identify\b|spot\b|find\b|list\b|determine\b|guess\b|explain\b|estimate\b|infer\b
        |describe\ (?!the\ (?:video|content|clip|scene\ to)))
    |(?:is|are|do|does|was|would)\ (?:this|that|these|those|it|they)\ (?:\w+\ ){0,2}
        (?:ok|okay|fine|alright|all\ right|good
        |helpful|useful|work|enough|sufficient|acceptable|suitable|what\ you)\b
    |(?:[^"“]*\s)?(?:i|me|my|mine|myself)\b(?![^?？]*["”]\s*[?？]?$)
    |[^"“?？]*\b(?:are\ you|do\ you\ (?:mean|want|need|have|prefer)
        |would\ you\ (?:like|prefer)|you\ (?:want|mean|need|like)
        |you['’]d\ like)\b
    |[^?？]*\b(?:good|better|other|more|further|additional|possible)\ questions?\b
    |[^?？]*,\s*(?:is|are|was|were|do|does|did|has|have|can|could|would)n['’]t\ (?:it|they|he|she|we|that|there)\s*\?$
    |还需要|需要我|(?:请问)?[您你](?:需要|想|希望)|(?:[^“"]*[，,\s])?您|请(?:您)?(?:先)?(?:提供|上传|分享|描述一下视频)|[^“"]*(?<!自)我(?!们))""",
    re.IGNORECASE | re.VERBOSE,
)
"""A question to whoever asked for questions, or of the one who writes them, and not about the clip."""

REFUSAL = re.compile(
    r"""^(?:(?:i['’]?m|i\ am)\ (?:so\ |very\ |really\ )?sorry|sorry|i\ apologi[sz]e|apologies|unfortunately|as\ an\ ai
    |i\ (?:cannot|can['’]?t|can\ not)|i['’]?m\ (?:unable|not\ able)|i\ am\ (?:unable|not\ able)
    |i\ do(?:n['’]t|\ not)\ have\ (?:access|the\ ability)
    |(?:很|非常)?抱歉|对不起|我(?:无法|不能)|作为(?:一个|一名)?(?:AI|人工智能))""",
    re.IGNORECASE | re.VERBOSE,
)
ASKING = r"what|which|who|whom|whose|where|when|why|how"
VERBS = r"(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should)(?:n['’]t)?"
IMPERATIVE = re.compile(
    r"""^(?:(?:name|describe|identify|explain|find|locate|track|trace|indicate|predict|point\ out|give|outline
        |list(?!\ of\b)|count|compare|tell(?:\ me)?|show\ me|state(?!\ of\b)|determine|specify
    |estimate|choose|select|order|rank|summari[sz]e|discuss)\b|请|描述|说明|指出|列出|解释|比较|判断)""",
    re.IGNORECASE | re.VERBOSE,
)
OPENING = re.compile(
    rf"^(?:(?:{ASKING}|{VERBS}|if)\b|(?:in|at|on|from|to|by|for|with|of|during|after|before|until|through|into) "
    rf"(?:what|which|whom|whose|how)\b|[^.?!]*,\s*(?:{ASKING}|{VERBS})\b)",
    re.IGNORECASE,
)
CHINESE = re.compile(
    r"[吗呢么][。.]?$|什么|哪|谁|为何|怎么|怎样|如何|多少|几(?!乎)|多[大长高久远快]|还是|是否|有没有|何时|何处"
)
CUT_OFF = re.compile(
    r"\b(?:an?|the|and|or|but|than|its|their|whose|which|very|(?<!made\ )(?<!consist\ )(?<!full\ )of)$", re.IGNORECASE
)
"""A last word that no question ends with."""
NEXT_TO_QUESTION = re.compile(
    r"""^(?:a\d{0,2}|ans|(?:the\ |correct\ |expected\ |suggested\ |possible\ |sample\ )*answers?|explanations?|reasoning
    |rationale|why|purpose|notes?|hints?|difficulty|type|category|skill|focus|evidence|timestamps?|because
    |答案|参考答案|回答|答|解释|解析|说明|理由|提示|注|考察(?:点|目的|内容)?|考点|设计意图|目的|类型|难度
    )\s*(?:\(.*?\))?\s*[:：]
    |(?:the\ )?(?:correct\ |right\ |expected\ )?answer\ (?:is|would\ be|should\ be)\b|(?:正确)?答案是""",
    re.IGNORECASE | re.VERBOSE,
)
"""What is written about a question and isn't asked: its answer, its kind, why it was chosen."""

QUESTION_MARK = re.compile(r"[?？]")


def last_asked(line: str) -> str:
    """The sentence with a line's last question mark; the line where it has none."""
    asking = [sentence for sentence in sentences(line) if QUESTION_MARK.search(sentence)]
    return asking[-1] if asking else line


def is_question(text: str) -> bool:
    """Whether a text has the form of a question about the clip, and not one to whoever asked for questions."""
    line = text.partition("\n")[0]
    if TO_THE_USER.match(last_asked(line)) or REFUSAL.match(line) or CUT_OFF.search(line) or refuses(line):
        return False
    if QUESTION_MARK.search(line) or IMPERATIVE.match(line):
        return True
    # "When the man enters, the dog barks." begins like a question and ends like a statement.
    if line.endswith((".", "。", "!", "！")):
        return False
    return bool(CHINESE.search(line) or (OPENING.match(line) and len(line.split()) > 2))


def asks_nothing(sentence: str) -> bool:
    """Whether a sentence is talk next to a question. "Explain how you know." belongs to the question in front of it."""
    return is_exchange(sentence) and (bool(QUESTION_MARK.search(sentence)) or not IMPERATIVE.match(sentence))
