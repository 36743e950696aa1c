"""Replies as models write them, and the property that matters: no well-formed question is lost."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from savi.prompts.answers import parse_answer, parse_revision
from savi.prompts.critiques import parse_critique
from savi.prompts.markup import Unparsable
from savi.prompts.questions import parse_questions

WHICH = "Which object is left of the red cup?"
WHY = "Why does the man stop after the dog barks?"
LOWER = "which way does the blue square move"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (f"1. {WHICH}\n2. {WHY}", [WHICH, WHY]),
        (f"1) {WHICH}\n\n2) {WHY}\n", [WHICH, WHY]),
        (f"(1) {WHICH}\r\n(2) {WHY}", [WHICH, WHY]),
        (f"Q1: {WHICH}\nQ2: {WHY}", [WHICH, WHY]),
        (f"**Question 1:** {WHICH}\n**Question 2**: {WHY}", [WHICH, WHY]),
        (f"1. **{WHICH}**\n2. *{WHY}*", [WHICH, WHY]),
        (f"### Question 1\n{WHICH}\n### Question 2\nname the last colour", [WHICH, "name the last colour"]),
        (f"- {WHICH}\n* {WHY}\n• {LOWER}", [WHICH, WHY, LOWER]),
        (f"Here are three questions:\n\n1. {WHICH}\n2. {WHY}\n3. {LOWER}", [WHICH, WHY, LOWER]),
        (f"Sure! Here are the questions you asked for.\n{WHICH}\n{WHY}", [WHICH, WHY]),
        (f"Spatial question: {WHICH}\nTemporal question: {WHY}", [WHICH, WHY]),
        (f"**Spatial questions**\n1. {WHICH}\n**Temporal questions:**\n1. {WHY}", [WHICH, WHY]),
        (f"[Spatial] {WHICH}\n[Temporal] {WHY}", [WHICH, WHY]),
        (f"1. (Spatial) {WHICH}", [WHICH]),
        (f"1. Question: {WHICH}\n   Answer: the plate\n2. Question: {WHY}\n   Answer: fear", [WHICH, WHY]),
        (f"{WHICH} Answer: the plate", [WHICH]),
        (f"1. {WHICH}\n   - Options: A) cup B) plate\n2. {WHY}", [f"{WHICH}\nA) cup\nB) plate", WHY]),
        (f"1. {WHICH}\n\nWould you like more questions?", [WHICH]),
        (f"1. {WHICH} 2. {WHY}", [WHICH, WHY]),
        (f"{WHICH} {WHY}", [WHICH, WHY]),
        (f'"{WHICH}"', [WHICH]),
        (f"```json\n{json.dumps([WHICH, WHY])}\n```", [WHICH, WHY]),
        (f"Here:\n{json.dumps({'questions': [{'question': WHICH}, {'question': WHY}]})}", [WHICH, WHY]),
        (f"['{WHICH}', '{WHY}']", [WHICH, WHY]),
        (LOWER, [LOWER]),
        (f"{LOWER}\nthe shape that comes last", [LOWER]),
        (f"1. {LOWER}\n2. {LOWER}", [LOWER, LOWER]),
        ("1.5 seconds in, what happens?", ["1.5 seconds in, what happens?"]),
        ("3 circles or 2 squares: which leave first?", ["3 circles or 2 squares: which leave first?"]),
        ('1. What does the sign "STOP" mean?', ['What does the sign "STOP" mean?']),
        ("1. A man waves. What follows? A jump?", ["A man waves. What follows? A jump?"]),
        ("What is 2 * 3 * 4 in the video?", ["What is 2 * 3 * 4 in the video?"]),
        (f"1. {WHICH}\nThis needs spatial reasoning.", [WHICH]),
        ("\u4ee5\u4e0b\uff1a\n\u8c01\uff1f", ["\u8c01\uff1f"]),  # Chinese: "As follows:", "Who?"
    ],
)
def test_reads_questions_as_models_write_them(reply: str, expected: list[str]) -> None:
    assert parse_questions(reply) == expected


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("", "empty reply"),
        (" \n\t", "empty reply"),
        ("```\n```", "empty reply"),
        ("!!!!!!!!", "no question found"),
        ("Here are three questions:", "no question found"),
        ("[]", "no question found"),
        ("Answer: a cup", "no question found"),
    ],
)
def test_says_why_a_reply_holds_no_question(reply: str, reason: str) -> None:
    with pytest.raises(Unparsable) as error:
        parse_questions(reply)
    assert error.value.reason == reason


STYLES: dict[str, Callable[[list[str]], str]] = {
    "numbered": lambda qs: "\n".join(f"{i}. {q}" for i, q in enumerate(qs, 1)),
    "parenthesis": lambda qs: "\n\n".join(f"{i}) {q}" for i, q in enumerate(qs, 1)),
    "q": lambda qs: "\n".join(f"Q{i}: {q}" for i, q in enumerate(qs, 1)),
    "bold label": lambda qs: "\n".join(f"**Question {i}:** {q}" for i, q in enumerate(qs, 1)),
    "aspect label": lambda qs: "Here are the questions:\n" + "\n".join(f"Temporal question: {q}" for q in qs),
    "bullets": lambda qs: "Sure!\n" + "\n".join(f"- {q}" for q in qs),
    "bold": lambda qs: "\n".join(f"{i}. **{q}**" for i, q in enumerate(qs, 1)),
    "json": lambda qs: json.dumps(qs),
    "fenced json": lambda qs: f"```json\n{json.dumps(qs, indent=1)}\n```",
    "plain": lambda qs: "\n".join(qs),
    "windows": lambda qs: "\r\n".join(qs),
    "one line": lambda qs: " ".join(f"{i}. {q}" for i, q in enumerate(qs, 1)),
}

VOCABULARY = """the red left of first then before after 3 two cup moves spatial temporal question answer a
note what q it's here sure 1 order critique blue-green TV video's (left) 3D café"""
WORDS = st.sampled_from(VOCABULARY.split())
OPENINGS = "What Which Where How Who After In Is At Name the 2 A During Does Based Here Sure"
STARTS = st.sampled_from(OPENINGS.split())
QUESTIONS = st.builds(
    lambda start, rest: " ".join([start, *rest]) + "?", STARTS, st.lists(WORDS, min_size=2, max_size=9)
)


@given(questions=st.lists(QUESTIONS, min_size=1, max_size=6), style=st.sampled_from(sorted(STYLES)))
def test_no_well_formed_question_is_lost(questions: list[str], style: str) -> None:
    assert parse_questions(STYLES[style](questions)) == questions


@given(words=st.lists(WORDS, min_size=1, max_size=6), style=st.sampled_from(["numbered", "q", "json", "bold"]))
def test_a_marked_line_needs_no_form_where_that_is_not_asked_for(words: list[str], style: str) -> None:
    question = "colour " + " ".join(words)
    assert parse_questions(STYLES[style]([question]), strict=False) == [question]


def test_plain_lines_are_questions_only_where_no_form_is_asked_for() -> None:
    said = "the first colour\nthe shape that comes last"
    assert parse_questions(said, strict=False) == said.split("\n")
    with pytest.raises(Unparsable, match="no question found"):
        parse_questions(said)


@given(st.text(max_size=200))
def test_any_text_gives_questions_or_a_reason(reply: str) -> None:
    try:
        questions = parse_questions(reply)
    except Unparsable:
        questions = None
    assert questions is None or all(text and text == text.strip() for text in questions)
    assert questions != []


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("left", "left"),
        (" A red cup. \n", "A red cup."),
        ("Answer: a red cup", "a red cup"),
        ("**Answer:** a red cup", "a red cup"),
        ("**Improved answer**: a red cup", "a red cup"),
        ("### Revised Answer:\n\na red cup\non a table", "a red cup\non a table"),
        ("Here is the improved answer: a red cup", "a red cup"),
        ("Sure, here is the revised answer:\n\nA red cup", "A red cup"),
        ("Revision: a red cup", "a red cup"),
        ("A: a red cup", "a red cup"),
        (f"Question: {WHICH}\nAnswer: the plate", "the plate"),
        ('"a red cup"', "a red cup"),
        ('Answer: "a red cup"', "a red cup"),
        ("“a red cup”", "a red cup"),
        ('"Stop" is written on the "sign"', '"Stop" is written on the "sign"'),
        ("```\na red cup\n```", "a red cup"),
        ("**a red cup**", "a red cup"),
        ("The **red** cup and the **blue** one", "The **red** cup and the **blue** one"),
        ("the answer is the cup: it moves", "the answer is the cup: it moves"),
        ("First: the cup. Then: the plate.", "First: the cup. Then: the plate."),
        ("A man - tall - waves", "A man - tall - waves"),
        ("1.5 seconds", "1.5 seconds"),
    ],
)
def test_answers_lose_their_dress_and_nothing_else(reply: str, expected: str) -> None:
    assert parse_answer(reply) == expected
    assert parse_revision(reply) == expected


def test_answers_and_revisions_lose_the_remarks_below_them() -> None:
    assert parse_revision("Answer: The cup is red.\n\n**Explanation:** I corrected the colour.") == "The cup is red."
    assert parse_revision("The cup is red.\n(Note: the critique was right.)") == "The cup is red."
    assert parse_answer("It falls.\nNote: it is red.") == "It falls."


def test_critiques_lose_their_label() -> None:
    assert parse_critique("**Critique:** The cup is blue.") == "The cup is blue."
    assert parse_critique("Critique of the proposed answer: wrong colour") == "wrong colour"
    assert parse_critique("Here is my critique:\n\n- The cup is blue.\n- It falls.") == (
        "- The cup is blue.\n- It falls."
    )
    assert parse_critique("Answer: right") == "Answer: right"


@pytest.mark.parametrize("parse", [parse_answer, parse_critique, parse_revision])
@pytest.mark.parametrize(("reply", "reason"), [("", "empty reply"), ("!!!!", "no words in the reply")])
def test_says_why_a_reply_is_empty(parse: Callable[[str], str], reply: str, reason: str) -> None:
    with pytest.raises(Unparsable) as error:
        parse(reply)
    assert error.value.reason == reason


@given(WORDS, st.lists(WORDS, max_size=8))
def test_plain_sentences_pass_through(first: str, rest: list[str]) -> None:
    sentence = " ".join(["The", first, *rest]) + "."
    assert parse_answer(sentence) == parse_revision(sentence) == parse_critique(sentence) == sentence
