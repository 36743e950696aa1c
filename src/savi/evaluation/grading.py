"""Replies to scores, as the reference harness gives them, and scores to accuracies."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from savi.evaluation.benchmarks.items import Asked, Benchmark, Judge
from savi.evaluation.intervals import clustered_interval

SEED = 0
"""The seed that lmms-eval gives Python's random, once per run."""


@dataclass(frozen=True)
class Grade:
    """What one reply is worth.

    pred: what was read in it, None where nothing was. fallback: whether the reference would draw at random, or ask a
    judge. drawn: the letter that was drawn. judged: what a judge answered. counts: False where the reference leaves
    the reply out of the sum.
    """

    pred: str | None
    correct: bool
    fallback: bool = False
    drawn: str | None = None
    judged: str | None = None
    counts: bool = True


class Grader:
    """Grades the replies to one benchmark, in their order, on which what is drawn depends.

    strict: an unreadable reply is wrong: nothing is drawn, and an empty one counts. judge: for TempCompass; what
    would be its to decide is wrong without one. seed: of the draws, as the reference's.
    """

    def __init__(
        self, benchmark: Benchmark, strict: bool = False, judge: Judge | None = None, seed: int = SEED
    ) -> None:
        self.benchmark = benchmark
        self.strict = strict
        self.judge = judge
        self._random = random.Random(seed)

    def grade(self, asked: Asked, response: str) -> Grade:
        """response: as it was written; the harness strips it."""
        response = response.strip()
        reading = self.benchmark.read(asked, response)
        counts = reading.counts or self.strict
        if reading.draws and not self.strict:
            drawn = self._random.choice(reading.draws)
            return Grade(None, drawn == asked.answer, True, drawn, counts=counts)
        if reading.asks and self.judge is not None:
            return self._judged(asked, response, self.judge)
        return Grade(reading.pred, reading.correct, reading.fallback, counts=counts)

    def _judged(self, asked: Asked, response: str, judge: Judge) -> Grade:
        prompt, verdict = self.benchmark.judge_prompt, self.benchmark.judge_verdict
        if prompt is None or verdict is None:
            raise RuntimeError(f"{self.benchmark.name} asks a judge and has no prompt for one")
        answer = judge(prompt(asked, response)).strip()
        return Grade(None, verdict(asked, answer), True, judged=answer)


@dataclass(frozen=True)
class Graded:
    """A graded reply with what it is summed up by. video: questions on one video are not independent."""

    asked: Asked
    grade: Grade
    video: str
    groups: dict[str, str]


def summarise(benchmark: Benchmark, graded: Sequence[Graded]) -> dict[str, Any]:
    """Accuracies (0 to 1) and counts.

    Replies without a public label, and those that the reference leaves out, are in no accuracy. accuracy: overall as
    the benchmark has it. interval: 95 %, clustered by video. pooled: over all questions alike.
    """
    counted = [one for one in graded if one.asked.answer and one.grade.counts]
    summary: dict[str, Any] = {"accuracy": None, "interval": None, "pooled": None}
    if counted:
        tasks = Counter(one.asked.task for one in counted)
        weights = [1 / (len(tasks) * tasks[one.asked.task]) for one in counted]
        if benchmark.overall == "items":
            weights = [1 / len(counted)] * len(counted)
        scores = [float(one.grade.correct) for one in counted]
        strata = [one.asked.task if benchmark.overall == "tasks" else "" for one in counted]
        summary["interval"] = clustered_interval(scores, weights, strata, [one.video for one in counted])
        summary["pooled"] = sum(scores) / len(scores)
        by_weight = sum(w * s for w, s in zip(weights, scores, strict=True))
        summary["accuracy"] = summary["pooled"] if benchmark.overall == "items" else by_weight
    summary["by_task"] = _shares((one.asked.task, one.grade.correct) for one in counted)
    names = sorted({name for one in counted for name in one.groups})
    summary["by_group"] = {
        name: _shares((one.groups[name], one.grade.correct) for one in counted if name in one.groups) for name in names
    }
    return summary | {
        "items": len(graded),
        "counted": len(counted),
        "videos": len({one.video for one in graded}),
        "unread": sum(one.grade.pred is None for one in graded),
        "fallbacks": sum(one.grade.fallback for one in graded),
        "left_out": sum(not one.grade.counts for one in graded),
        "unlabelled": sum(not one.asked.answer for one in graded),
    }


def _shares(outcomes: Iterable[tuple[str, bool]]) -> dict[str, float]:
    grouped: defaultdict[str, list[bool]] = defaultdict(list)
    for name, correct in outcomes:
        grouped[name].append(correct)
    return {name: sum(grouped[name]) / len(grouped[name]) for name in sorted(grouped)}
