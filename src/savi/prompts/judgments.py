"""Whether a statement about an answer says that it is right or wrong."""

from __future__ import annotations

import re
from typing import Literal

Verdict = Literal["right", "wrong"]

ERRORS = r"""(?:errors?|mistakes?|inaccurac(?:y|ies)|omissions?|hallucinations?|inconsistenc(?:y|ies)|discrepanc(?:y
        |ies)
    |contradictions?|faults?|flaws?)"""
FAULTS = rf"(?:{ERRORS}|issues?|problems?|corrections?|changes?|revisions?|improvements?)"
"""What an answer may have or need; a clip may have problems and changes too."""

FAULTLESS = re.compile(
    rf"""(?:\b(?:no|not|never|without|free\ of|neither|nothing|zero)|n['’]t)\b
        (?:\ (?:(?!correct|right|accurate|true)\w+)){{0,3}}
        \ (?:{FAULTS}|wrong|incorrect|inaccurate|missing|false|contradict\w*|miss(?:es|ed)?|omit\w*|left\ out
        |nor\ wrong)\b
        (?:(?:,|,?\ (?:or|and|nor))\ (?:\w+\ )?{FAULTS}\b)*(?:\ (?:are|is|needed|necessary|required|found))*
    |\b(?:none|nothing)\ (?:of|in)\ [^,;]{{1,60}}\b(?:wrong|incorrect|inaccurate|false|{FAULTS})
    |\bnothing\ (?:needs|has)\ to\ be\b|\b(?:error|mistake|fault)s?-free\b|\bfault?less\b|\bflawless\b
    |(?:没有?|并?无|未|不存在|不需要?|无需)(?:发现|看到|找到|出现)?(?:任何|明显)?的?(?:错误|问题|遗漏|不准确
        |矛盾|修改|更正)(?:[或和与、](?:错误|问题|遗漏|矛盾))*|没有?错|无误|不错""",
    re.IGNORECASE | re.VERBOSE,
)
"""That nothing is wrong, which has words of WRONG in it."""

WRONG = re.compile(
    rf"""(?:\b(?:not|cannot|never|hardly|far\ from)|n['’]t)\ (?:\w+\ ){{0,2}}
        (?:(?:correct|right|accurate|faithful)(?:ly)?|accept\w*|true|valid|what|match\w*|align\w*|agree\w*
        |consistent|supported|reflect\w*|complete|support)\b
    |\b(?:does|did|do)(?:\ not|n['’]t)\b(?!\ (?:need|require|have)\b)|^\W*(?:but|yet|while|whereas|although|instead
        |rather)\b
    |^,?\ (?:however|on\ the\ other\ hand)\b|(?:\bnot|n['’]t)\ (?:\w+\ )?(?:shown|seen|visible|present|in\ the
        |the\ case)\b
    |^\W*not\b.*\bas\ the\b|^\W*(?:nothing\b.*(?:support|confirm|match)|not\ (?:all|everything)\b|no\ evidence\b)
        |^\W*(?:[而但却]|实际|不像|不同于|不是)
    |没有?(?:提到|提及|说明|包括|描述|指出)
    |\b(?:incorrect(?:ly)?|wrong(?:ly)?|inaccurate(?:ly)?|false(?:ly)?|mistaken(?:ly)?|flawed
    |incomplete|unsupported|erroneous(?:ly)?|inconsistent|invalid|untrue|at\ odds|no\ basis|unfaithful|unfounded
        |unrelated|refut\w*|disprov\w*
        |contradict\w*|contrary|unlike
    |(?:nothing|none|no\ part)\ (?:in|of)\ .*\b(?:correct|right|accurate|true)
    |neither\ .*\b(?:complete|correct|precise|accurate|right)|partial(?:ly)?|partly|mostly|almost|nearly|half|largely
    |fail(?:s|ed)?|omit\w*|mis(?!t\b|sion|ter\b)\w+|lacks?|overlook\w*|overstat\w*|reject(?:ed)?|disagree\w*
    |leav(?:es|ing)\ out|left\ out|forg[eo]t\w*|ignor\w+|neglect\w*|conflicts?|differs?|deviat\w+
    |hallucinat\w+|invent\w*|fabricat\w+|made\ up|revers\w+|backwards?|confus\w+|swap\w*|mix(?:es|ed)\ up
    |should(?!\ be\ (?:considered|accepted|judged|rated|marked))|has\ to|must
    |vague(?:ly)?|imprecise|ambiguous|misleading|insufficient|inadequate|exaggerat\w*|oversimplif\w*
    |could\ (?:be|have\ been)\ (?:\w+\ )?(?:improved|corrected|revised|changed|clearer|more)
    |bad|poor|too\ (?:vague|general|broad)
    |{FAULTS}|needs?\ (?:to\ be\b|\w*\ ?(?:correction|revision|improvement)))\b
    |错|(?:不|没有?|未|并非)(?:太|够|完全|十分|很|能|是|怎么|大){{0,2}}(?:正确|准确|对|符合|一致)
    |有误|部分|基本|大致|大体|不够|不完整|遗漏|缺少|不符|矛盾|不完全|颠倒|相反|应[为该当是]|[❌✗✘🚫⚠]""",
    re.IGNORECASE | re.VERBOSE,
)
RIGHT = re.compile(
    r"""(?:^\W*|(?:\b(?:is|are|was|were|be|seems|all|also|quite|\w+ly)|['’]s)\ |\bgets?\ .*)
        right\b(?!-|\ (?:side|hand|corner|edge|there|here|of|next|in|on|at|by|beside|behind|before|after|under
        |above|below|near|now)\b)
    |\b(?:correct(?:ly)?|accurate(?:ly)?|true|valid|faithful(?:ly)?|perfect|yes|passe?[ds]?|accept(?:ed)?
        |right\ answer|match(?:es)?|agrees?|aligns?|corresponds?
    |consistent|support(?:s|ed)?|confirm(?:s|ed)?|backs|backed|verif(?:y|ies|ied)|in\ line|the\ same|spot[\ -]on
        |on\ point|in\ agreement|adequate|good|okay|ok
        |fine|acceptable|approved?)\b
    |^\W*as\ the\b|^正?如|支持|证实|说对|可以接受|正确|准确|符合|相符|一致|^\W*对\s*(?:的)?\s*[。！]?\s*$|[✅✔☑]""",
    re.IGNORECASE | re.VERBOSE,
)
NEITHER = re.compile(
    r"""\bneither\ (?:right|wrong|correct|incorrect)\ nor\b
    |\b(?:right|correct)\b\W*(?:or|/|\|)\W*(?:verdict\W*)?(?:wrong|incorrect)
    |\bnot\ (?:sure|certain|clear)\b
    |\b(?:would|could|might|may)\ (?:(?!more\ )\w+\ ){0,2}(?:(?:in)?(?:correct|accurate)|right|true|wrong|false)\b
    |正确(?:还是|或|/)错误""",
    re.IGNORECASE | re.VERBOSE,
)
"""No verdict: both words, or doubt."""

BUT = re.compile(
    r"(?:^|[.!;,。！，；\s])(?:however|but|although|though|yet|except|但是?|不过|然而)(?=[\s,，]|[\u4e00-\u9fff])", re.I
)


def judged(said: str) -> Verdict | None:
    """The verdict of a statement: wrong where anything in it is wrong."""
    rest, faultless = FAULTLESS.subn(" ", said)
    if WRONG.search(rest):
        return "wrong"
    if faultless or RIGHT.search(rest):
        return "wrong" if BUT.search(rest) else "right"
    return None
