"""Whether two texts say the same by their words alone: another order of asking, spelling or filler changes nothing."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

# In scripts without spaces each character counts, or a whole sentence would be a single word.
# Signs that tell numbers, prices and languages apart ("-5", "€5", "C#") are words too.
WORD = re.compile(
    r"""[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]
    |(?<!\w)[-\u2212](?=\d)|[$€£¥]|(?<=\bc)(?:\+\+|\#)
    |[^\W_\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+""",
    re.VERBOSE,
)

UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")

CONTRACTIONS = (
    (re.compile(r"\b(can|do|does|did|is|are|was|were|has|have|had|would|could|should)n['’]?t\b"), r"\1 not"),
    (re.compile(r"\b(?:cannot|can['’]t)\b"), "can not"),
    (re.compile(r"\bwon['’]t\b"), "will not"),
    (re.compile(r"(?<=\w)['’](?:s|re|m|ve|ll|d)\b"), " "),
)
SCENE = re.compile(
    r"""\b(?:(?:in|throughout|during|within|from|on)\s+(?:the|this)\s+(?:entire\s+|whole\s+)?
        (?:video|clip|scene|footage|screen|frames?)
    |(?:the|this)\s+(?:video|clip|footage)\s+(?:clearly\s+)?(?:shows?|depicts?|displays?|reveals?|indicates?)(?:\s+that)?
    |(?:as\s+)?(?:can\s+be\s+)?(?:seen|shown|visible)\s+in\s+(?:the|this)\s+(?:video|clip)
    |(?:we|you|one)\s+(?:can\s+)?see(?:\s+that)?)\b
    |(?:视频|片段|画面)(?:中|里|显示|表明)?""",
    re.VERBOSE,
)
NAMED_A = re.compile(r"(?<=[a-z]\ )A\b")
"""A thing that is called A: inside a sentence, the article is written small."""

FILLERS = frozenset(
    "a an the this that these those is are was were be been being it its he she they them his her their there here has "  # noqa: SIM905 (a word each)
    "have had do does did so very quite really just also and of to as well answer clearly actually then "
    "的 了 是 在 有 着 呢 吗 个 它 他 她 这 那".split()
)
SAME_SPELLING = {
    "colour": "color", "colours": "color", "colors": "color", "grey": "gray", "towards": "toward", "upwards": "up",
    "upward": "up", "downwards": "down", "downward": "down", "leftwards": "left", "rightwards": "right",
    "people": "person", "men": "man", "women": "woman", "children": "child", "kids": "child", "kid": "child",
}  # fmt: skip
POINTING = {
    "he": "m", "him": "m", "his": "m", "himself": "m", "他": "m",
    "she": "f", "her": "f", "hers": "f", "herself": "f", "她": "f",
    "this": "near", "these": "near", "here": "near", "that": "far", "those": "far", "there": "far",
    "这": "near", "那": "far",
}  # fmt: skip
"""Words that tell people and things apart, although they are fillers next to a noun."""

DENIALS = frozenset("no not never nor neither none nobody nothing without 不 没 无 未 非".split())  # noqa: SIM905 (a word each)
SEVERAL = re.compile(r"\b(?:or|and|both)\b|还是|或|和|与", re.IGNORECASE)
"""What a question names several things with, between which its answer may choose."""

ENGLISH_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NUMBERS = {word: str(at) for named in (ENGLISH_NUMBERS, "零一二三四五六七八九十") for at, word in enumerate(named)}


def words(text: str) -> list[str]:
    """The words of a text, case, punctuation and the way its characters are encoded aside."""
    return WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def count_words(text: str) -> int:
    """How many words a text has. In scripts without spaces two characters count as one word."""
    found = words(text)
    characters = sum(bool(UNSPACED.fullmatch(word)) for word in found)
    return len(found) - characters + (characters + 1) // 2


def content_words(text: str) -> list[str]:
    """The words that carry a text's meaning, in their order: no articles, copulas or talk about the video; plurals,
    numbers and spellings in one form."""
    text = NAMED_A.sub("lettera", unicodedata.normalize("NFKC", text)).casefold()
    for pattern, plain in CONTRACTIONS:
        text = pattern.sub(plain, text)
    found = [_plain(word) for word in WORD.findall(SCENE.sub(" ", text)) if word not in FILLERS]
    return found or words(text)


def say_the_same(question: str, first: str, second: str) -> bool:
    """Whether two answers to a question have the same content words, in the same order. One of them may leave out words
    that the question has said before.

    It may miss answers that say the same in other words, and hardly ever takes different ones for the same.
    """
    if words(first) == words(second):
        return True
    if not _nested(_pointed_at(first), _pointed_at(second)):
        return False
    one, other = content_words(first), content_words(second)
    if one == other:
        return True
    asked = set(content_words(question))
    new, other_new = _without(one, asked), _without(other, asked)
    if not new or new != other_new or not _nested(one, other):
        return False
    shorter, longer = sorted((one, other), key=len)
    left_out = Counter(longer) - Counter(shorter)
    # What is repeated from the question may be the answer itself: "the red one" of "the red or the blue one".
    return not left_out or (DENIALS.isdisjoint(left_out) and not SEVERAL.search(question))


def has_key_words(text: str, short: str) -> bool:
    """Whether a text has the content words of a short answer in a row, with no word before them that denies them."""
    found, wanted = content_words(text), content_words(short)
    places = [at for at in range(len(found)) if found[at : at + len(wanted)] == wanted]
    return any(not DENIALS.intersection(found[:at]) for at in places)


def _without(found: Sequence[str], asked: set[str]) -> list[str]:
    return [word for word in found if word not in asked]


def _pointed_at(text: str) -> list[str]:
    """The men, women, near and far things that a text has pronouns for, in their order."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return [POINTING[word] for word in WORD.findall(SCENE.sub(" ", text)) if word in POINTING]


def _nested(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether the shorter of two sequences is a part of the longer one, in its order."""
    shorter, longer = sorted((one, other), key=len)
    rest = iter(longer)
    return all(word in rest for word in shorter)


def _plain(word: str) -> str:
    """One form of a word: its number as digits, its usual spelling, without the "s" of plurals and verbs."""
    word = NUMBERS.get(word, SAME_SPELLING.get(word, word))
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word
