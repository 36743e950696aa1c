"""Grades and sums: numbers worked out by hand, draws that repeat, a judge that is asked where the rules end."""

from __future__ import annotations

import math
import random

import pytest

from savi.evaluation.benchmarks.items import Asked
from savi.evaluation.benchmarks.registry import BENCHMARKS
from savi.evaluation.benchmarks.tempcompass import judge_verdict
from savi.evaluation.grading import Grade, Graded, Grader, summarise
from savi.evaluation.intervals import clustered_error, clustered_interval

FIVE = ("to rest", "to hide", "to reach the ball", "to sing", "to sleep")


def test_an_unreadable_reply_is_drawn_as_python_draws_after_seed_0() -> None:
    asked = Asked("CW", "why", FIVE, "C")
    grader = Grader(BENCHMARKS["nextqa"])
    reference = random.Random(0)
    for _ in range(20):
        letter = reference.choice(list("ABCDE"))
        assert grader.grade(asked, "hm") == Grade(None, letter == "C", True, letter)
    assert grader.grade(asked, "C. x") == Grade("C", True)


def test_a_draw_is_among_the_options_there_are() -> None:
    grader = Grader(BENCHMARKS["longvideobench"])
    assert {grader.grade(Asked("15", "q", ("a", "b"), "A"), "?").drawn for _ in range(50)} == {"A", "B"}


def test_strict_takes_what_is_drawn_and_counts_what_is_empty() -> None:
    strict = Grader(BENCHMARKS["nextqa"], strict=True)
    assert strict.grade(Asked("CW", "why", FIVE, "C"), "hm") == Grade(None, False, True)
    options = Asked("moving_count", "q", ("a", "b"), "A")
    assert Grader(BENCHMARKS["mvbench"]).grade(options, " \n") == Grade(None, False, counts=False)
    assert Grader(BENCHMARKS["mvbench"], strict=True).grade(options, "") == Grade(None, False)


def test_a_judge_is_asked_only_where_the_rules_end() -> None:
    prompts: list[str] = []

    def judge(prompt: str) -> str:
        prompts.append(prompt)
        return "Correct."

    asked = Asked("multi-choice", "Where to?\nA. left\nB. right", ("A. left", "B. right"), "B. right")
    grader = Grader(BENCHMARKS["tempcompass"], judge=judge)
    assert grader.grade(asked, "A") == Grade("A", False)
    assert prompts == []
    assert grader.grade(asked, "it goes right") == Grade(None, True, True, judged="Correct.")
    assert "it goes right" in prompts[0]
    assert "B. right" in prompts[0]
    assert Grader(BENCHMARKS["tempcompass"]).grade(asked, "it goes right") == Grade(None, False, True)


@pytest.mark.parametrize(
    ("task", "verdict", "right"),
    [
        ("yes_no", "Correct", True),
        ("yes_no", "Incorrect", False),
        ("yes_no", "The prediction is Correct.", True),
        ("yes_no", "It is Incorrect, not Correct", False),
        ("captioning", "Reasoning: it says so.\nAnswer: B. right", True),
        ("captioning", "Answer: B", False),  # no letter with a full stop
        ("captioning", "Answer: B. right, or A. left", False),
        ("captioning", "Answer: A. left\nAnswer: B. right", True),  # the last line counts
        ("captioning", "Answer: None of the choices are correct", False),
        ("captioning", "B. right", True),
    ],
)
def test_a_verdict_is_read_as_the_reference_reads_it(task: str, verdict: str, right: bool) -> None:
    assert judge_verdict(Asked(task, "q", (), "B. right"), verdict) is right


def graded(task: str, video: str, correct: bool, **groups: str) -> Graded:
    return Graded(Asked(task, "q", ("a", "b"), "A"), Grade("A" if correct else "B", correct), video, groups)


def test_mvbench_and_mlvu_are_the_mean_of_their_tasks_and_others_are_not() -> None:
    results = [graded("count", "v1", True), graded("count", "v2", False), graded("order", "v1", True)]
    results += [graded("count", "v3", False), graded("count", "v4", False)]
    # count 1 of 4, order 1 of 1: the mean of the two is 62.5 %, the share of all 40 %.
    mvbench = summarise(BENCHMARKS["mvbench"], results)
    assert mvbench["accuracy"] == pytest.approx(0.625)
    assert mvbench["pooled"] == pytest.approx(0.4)
    assert mvbench["by_task"] == {"count": 0.25, "order": 1.0}
    assert summarise(BENCHMARKS["mlvu"], results)["accuracy"] == pytest.approx(0.625)
    for name in ("nextqa", "videomme"):
        assert summarise(BENCHMARKS[name], results)["accuracy"] == pytest.approx(0.4)


def test_what_is_left_out_or_without_a_label_is_in_no_accuracy_but_counted() -> None:
    empty = Graded(Asked("t", "q", ("a", "b"), "A"), Grade(None, False, counts=False), "v1", {})
    hidden = Graded(Asked("t", "q", ("a", "b"), ""), Grade("A", False), "v2", {})
    summary = summarise(BENCHMARKS["mvbench"], [empty, hidden, graded("t", "v3", True, side="x")])
    assert (summary["accuracy"], summary["items"], summary["counted"]) == (1.0, 3, 1)
    assert (summary["left_out"], summary["unlabelled"], summary["unread"], summary["fallbacks"]) == (1, 1, 1, 0)
    assert summary["by_group"] == {"side": {"x": 1.0}}
    assert summarise(BENCHMARKS["egoschema"], [hidden])["accuracy"] is None


def test_the_error_of_questions_that_fall_together_by_hand() -> None:
    # Two videos with two questions each, one all right and one all wrong: mean 0.5, sums (2 - 1) / 4 and (0 - 1) / 4.
    scores, weights, one = [1.0, 1.0, 0.0, 0.0], [0.25] * 4, [""] * 4
    assert clustered_error(scores, weights, one, ["v", "v", "w", "w"]) == pytest.approx(math.sqrt(2) / 4)
    # As four videos it is the plain one: sqrt(0.5 * 0.5 / 4).
    assert clustered_error(scores, weights, one, list("abcd")) == pytest.approx(0.25)
    low, high = clustered_interval(scores, weights, one, list("abcd")) or (0, 0)
    assert (low, high) == (pytest.approx(0.5 - 0.48999, abs=1e-4), pytest.approx(0.98999, abs=1e-4))
    assert clustered_interval(scores, weights, one, ["v"] * 4) is None


def test_the_error_of_a_mean_over_tasks_takes_each_from_its_own_mean() -> None:
    # Task s: 1 and 0 (weights 1/4), task t: 1 and 1: the distances are 1/2, -1/2, 0, 0, each times 1/4.
    error = clustered_error([1, 0, 1, 1], [0.25] * 4, ["s", "s", "t", "t"], ["a", "b", "a", "b"])
    assert error == pytest.approx(math.sqrt(2) / 8)
