"""How lmms-eval reads a letter in a reply to Video-MME or MLVU: its `extract_mcq_answer`, quirks included."""

from __future__ import annotations

from savi.evaluation.benchmarks.items import Asked, Reading

LETTERS = "ABCD"
"""The letters that it looks for, however many options a question has."""

EDGES = ",.!?;:'\""
"""Taken off the ends of a reply, one character after the other."""

FORMS = (("({})", 6), ("{}.", 5), ("{}:", 4), ("{})", 3), ("{} ", 2))
"""How a letter may be written, also at the end of a word, and the rank of each form."""

PHRASES = (
    "the answer is",
    "answer is",
    "the correct answer is",
    "correct answer is",
    "the best answer is",
    "best answer is",
    "the correct option is",
    "correct option is",
    "the best option is",
    "best option is",
    "the choice is",
    "choice is",
    "the correct choice is",
    "correct choice is",
    "i choose",
    "i select",
    "i pick",
    "my answer is",
    "my choice is",
    "옵션",
    "정답은",
    "답은",
    "답:",
    "答案是",
    "答案为",
    "选",
    "答えは",
)
"""Behind the first of each, the first occurrence of every letter counts, also inside a word."""

FIRST, LAST, BEHIND_PHRASE = 10, 9, 7
"""Ranks of a letter that is the first or the last word of the reply, or behind a phrase."""


def read_letter(asked: Asked, response: str) -> Reading:
    """The letter of the highest rank; of several, the last one. It never draws: a reply without a letter is wrong."""
    text = response.strip()
    for mark in EDGES:
        text = text.strip(mark)
    found = _ranked(text) or [(0, text.rfind(letter), letter) for letter in LETTERS if letter in text]
    if not found:
        return Reading(None)
    _, _, letter = max(found, key=lambda one: one[:2])
    return Reading(letter, letter == asked.answer)


def _ranked(text: str) -> list[tuple[int, int, str]]:
    """(rank, position, letter) of every letter that is written in one of the forms."""
    padded, bare = f" {text} ", text.strip()
    found = [(rank, padded.rfind(form.format(letter)), letter) for form, rank in FORMS for letter in LETTERS]
    for phrase in PHRASES:
        start = padded.lower().find(phrase)
        if start >= 0:
            found += [(BEHIND_PHRASE, padded.find(letter, start + len(phrase)), letter) for letter in LETTERS]
    for letter in LETTERS:
        if bare.startswith(letter) and not bare[1:2].isalpha():
            found.append((FIRST, 0, letter))
        if bare.endswith(letter) and not bare[-2:-1].isalpha():
            found.append((LAST, len(padded), letter))
    return [one for one in found if one[1] >= 0]
