"""Each filter takes what it is named for, and lets its near misses through."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from savi.critique.filters import (
    ANSWER_APPROVED,
    DEGENERATE_REPETITION,
    DUPLICATE_QUESTION,
    FILTERS,
    IMPLAUSIBLE,
    LENGTH_IMBALANCE,
    REMEDIES,
    SAME_MEANING,
    TASK_TALK,
    UNANSWERABLE,
    UNCHANGED_REVISION,
    UNFINISHED,
    FilterSettings,
    filter_critique,
    filter_likelihood,
    filter_pair,
    filter_question,
    filter_reply,
)
from savi.types import SaviError

SETTINGS = FilterSettings()


def sentence(words: int) -> str:
    return " ".join(f"word{index}" for index in range(words))


def test_names_are_distinct_and_complete() -> None:
    assert set(FILTERS) == {
        "undecodable",
        "unparsable",
        "unfinished",
        "duplicate question",
        "degenerate repetition",
        "unchanged revision",
        "length imbalance",
        "implausible",
        "task talk",
        "other aspect",
        "answer approved",
        "unanswerable",
        "same meaning",
        "samples disagree",
    }
    assert len(set(FILTERS)) == len(FILTERS)


@pytest.mark.parametrize(
    ("question", "refused"),
    [
        ("Which way does it move?", DUPLICATE_QUESTION),
        ("which way, does it  MOVE", DUPLICATE_QUESTION),
        ("which way does it move first?", None),
        ("does which way it move?", None),
    ],
)
def test_duplicate_questions(question: str, refused: str | None) -> None:
    assert filter_question(question, ["What is red?", "Which way does it move?"], SETTINGS) == refused
    assert filter_question(question, [], SETTINGS) is None


def test_a_reply_that_was_cut_off_is_unfinished_whatever_it_says() -> None:
    assert filter_reply("a red cup", False, SETTINGS) == UNFINISHED
    assert filter_reply("loop " * 50, False, SETTINGS) == UNFINISHED
    assert filter_reply("a red cup", True, SETTINGS) is None


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("no no no no", DEGENERATE_REPETITION),
        ("no no no", None),
        ("it moves left, it moves left. It moves left; it moves LEFT", DEGENERATE_REPETITION),
        ("it moves left, it moves left, it moves left", None),
        ("red, then blue, then red, then blue, then red", None),
        ("First the cup falls. " * 4, DEGENERATE_REPETITION),
        ("well: " + "the cup " * 4 + "falls", DEGENERATE_REPETITION),
        ("红色红色红色红色", DEGENERATE_REPETITION),
        ("红色的杯子在左边", None),
        ("the cup the plate the fork the knife the spoon", None),
        ("", None),
    ],
)
def test_degenerate_repetition(text: str, refused: str | None) -> None:
    assert filter_reply(text, True, SETTINGS) == refused


@given(
    phrase=st.lists(st.sampled_from("abc"), min_size=1, max_size=5),
    repeats=st.integers(1, 6),
    limit=st.integers(1, 4),
)
def test_repetition_counts_the_repeats_of_a_phrase(phrase: list[str], repeats: int, limit: int) -> None:
    text = " ".join(["start", *phrase * repeats, "end"])
    if repeats > limit:
        assert filter_reply(text, True, FilterSettings(max_repeats=limit)) == DEGENERATE_REPETITION
    if len(set(phrase)) == len(phrase) and repeats <= limit:
        assert filter_reply(text, True, FilterSettings(max_repeats=limit)) is None


@pytest.mark.parametrize(
    ("answer", "revision"),
    [("Left.", "left"), ("It's red", "it's   red!"), ("café", "cafe\u0301"), ("?!", "...")],
)
def test_unchanged_revision(answer: str, revision: str) -> None:
    assert filter_pair("What is it?", answer, revision, SETTINGS) == UNCHANGED_REVISION


@pytest.mark.parametrize(("answer", "revision"), [("left", "right"), ("red blue", "blue red"), ("1.5", "15")])
def test_a_changed_revision_passes(answer: str, revision: str) -> None:
    assert filter_pair("What is it?", answer, revision, SETTINGS) is None


@pytest.mark.parametrize(
    ("shorter", "longer", "refused"),
    [
        (1, 4, None),  # "left", "from left to right": very short answers are no imbalance
        (1, 9, None),  # a difference of 8 words is the last that is allowed at any ratio
        (1, 10, LENGTH_IMBALANCE),
        (10, 30, None),  # a ratio of 3 is the last that is allowed
        (10, 31, LENGTH_IMBALANCE),
    ],
)
def test_length_imbalance_in_both_directions(shorter: int, longer: int, refused: str | None) -> None:
    assert filter_pair("What is it?", sentence(shorter), sentence(longer), SETTINGS) == refused
    assert filter_pair("What is it?", sentence(longer), sentence(shorter), SETTINGS) == refused


@pytest.mark.parametrize(
    ("logp", "tokens", "filtered_by"),
    [(-5.0, 2, None), (-5.1, 2, IMPLAUSIBLE), (-5.1, 3, None), (-0.1, 1, None), (-2.6, 1, IMPLAUSIBLE)],
)
def test_what_the_reference_would_hardly_say_is_not_learned(logp: float, tokens: int, filtered_by: str | None) -> None:
    both = [logp, logp], [tokens, tokens]
    assert filter_likelihood(*both, FilterSettings(least_logp=-2.5)) == filtered_by
    assert filter_likelihood(*both, SETTINGS) is None
    assert filter_likelihood(*both, FilterSettings(least_logp=-2.6)) is None


@pytest.mark.parametrize(
    ("chosen", "rejected", "filtered_by"),
    [
        ((-6.0, 2), (-3.0, 3), None),  # 3 nats per token, and 1: a drop of 2 is the last that is allowed
        ((-6.2, 2), (-3.0, 3), IMPLAUSIBLE),
        ((-1.0, 1), (-9.0, 3), None),  # likelier than the answer
    ],
)
def test_the_chosen_response_is_not_much_less_likely_than_the_answer(
    chosen: tuple[float, float], rejected: tuple[float, float], filtered_by: str | None
) -> None:
    logps, lengths = zip(chosen, rejected, strict=True)
    assert filter_likelihood(logps, lengths, SETTINGS) == filtered_by
    assert filter_likelihood(logps, lengths, FilterSettings(most_logp_drop=None)) is None


@pytest.mark.parametrize(
    ("revision", "filtered_by", "off"),
    [
        ("The proposed answer says a red cup.", TASK_TALK, {"task_talk": False}),
        ("It cannot be determined from the video.", UNANSWERABLE, {"unanswerable": False}),
        ("A red cup is on the table in the video.", SAME_MEANING, {"same_meaning": "words"}),
        ("A blue cup is on the table.", None, {}),
    ],
)
def test_responses_that_teach_nothing_are_filtered_by_name(
    revision: str, filtered_by: str | None, off: dict[str, Any]
) -> None:
    question, answer = "What is on the table?", "A red cup."
    assert filter_pair(question, answer, revision, SETTINGS) == filtered_by
    assert filter_pair(question, answer, revision, FilterSettings(**off)) is None


def test_an_answer_that_the_critic_approves_makes_no_pair() -> None:
    assert filter_critique("The cup is red.\nVerdict: right", SETTINGS) == ANSWER_APPROVED
    assert filter_critique("The cup is blue.\nVerdict: wrong", SETTINGS) is None
    assert filter_critique("The cup is blue.", SETTINGS) is None
    assert filter_critique("Verdict: right", FilterSettings(answer_approved=False)) is None


def test_every_filter_has_a_remedy() -> None:
    assert set(REMEDIES) == set(FILTERS)


def test_settings_move_the_bounds() -> None:
    assert filter_pair("What is it?", sentence(1), sentence(4), FilterSettings(length_slack=2)) == LENGTH_IMBALANCE
    assert filter_pair("What is it?", sentence(10), sentence(31), FilterSettings(max_length_ratio=4)) is None
    assert filter_pair("What is it?", sentence(1), sentence(90), FilterSettings(max_length_ratio=math.inf)) is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_length_ratio": 0.5}, "max_length_ratio must be at least 1, not 0.5"),
        ({"max_length_ratio": math.nan}, "max_length_ratio must be at least 1, not nan"),
        ({"length_slack": -1}, "length_slack must be at least 0, not -1"),
        ({"max_repeats": 0}, "max_repeats must be at least 1, not 0"),
        ({"least_logp": 0.0}, "least_logp must be below 0, not 0.0"),
        ({"least_logp": math.nan}, "least_logp must be below 0, not nan"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(values: dict[str, float], message: str) -> None:
    with pytest.raises(SaviError, match=message) as error:
        FilterSettings(**values)  # type: ignore[arg-type]  # any values
    assert "\n" not in str(error.value)
