"""Options that are given with a question: how a question keeps them, and what a letter means."""

from __future__ import annotations

import pytest

from savi.critique.filters import SAME_MEANING, UNANSWERABLE, FilterSettings, filter_pair
from savi.prompts.options import meant
from savi.prompts.questions import parse_questions

QUESTION = "What color is it?\nA) red\nB) blue\nC) It cannot be determined."


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("A", "red"),
        ("a", "red"),
        ("(A)", "red"),
        ("A.", "red"),
        ("A) red", "red"),
        ("**B)** blue", "blue"),
        ("B: blue", "blue"),
        ("B, because it has the color of the sky.", "blue"),
        ("The answer is B.", "blue"),
        ("Option B", "blue"),
        ("The correct answer is (B).", "blue"),
        ("选A", "red"),
        ("答案是B。", "blue"),
        ("red", "red"),
        ("A red one.", "A red one."),
        ("a blue cup", "a blue cup"),
        ("D", "D"),
        ("Both A and B", "Both A and B"),
    ],
)
def test_a_letter_means_its_option_and_an_article_means_nothing(answer: str, text: str) -> None:
    assert meant(QUESTION, answer) == text


def test_without_options_a_letter_is_a_letter() -> None:
    assert meant("Which letter is on the sign?", "A") == "A"
    assert meant("它是什么颜色？\nA. 红色\nB. 蓝色", "B") == "蓝色"


def test_options_without_letters_are_no_options() -> None:
    assert parse_questions("1. What color is it?\nOptions: red, blue") == ["What color is it?"]


@pytest.mark.parametrize(
    ("answer", "other", "filtered_by"),
    [
        ("A", "A) red", SAME_MEANING),
        ("red", "A", SAME_MEANING),
        ("It is red.", "The answer is A.", SAME_MEANING),
        ("A", "B", None),
        ("A) red", "B) blue", None),
        ("A", "blue", None),
        ("A", "C", UNANSWERABLE),
    ],
)
def test_a_pair_of_answers_is_judged_by_the_options_that_they_choose(
    answer: str, other: str, filtered_by: str | None
) -> None:
    assert filter_pair(QUESTION, answer, other, FilterSettings()) == filtered_by
