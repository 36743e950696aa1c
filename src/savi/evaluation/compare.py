"""`savi compare`: whether one run answers better than another, question by question on the same videos."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from savi.evaluation.benchmarks.registry import BENCHMARKS
from savi.evaluation.intervals import Z95, clustered_error
from savi.evaluation.measured import describe, is_comparable
from savi.evaluation.options import OneLineParser
from savi.evaluation.outcomes import Evaluation, Outcome, asked_of_both, read_evaluation
from savi.files import write_json_lines
from savi.types import SaviError

FLIPS = 10_000
SHOWN = 3
"""Most questions shown of those won, and of those lost; --output has all."""


@dataclass(frozen=True)
class Comparison:
    """Run B against run A on one benchmark. Accuracies and their difference in 0 to 1.

    interval: 95 % of the difference, clustered by video. p: of a difference as large or larger either way, were the
    sign of each video's difference a coin's (10,000 seeded tosses). won, lost: B right and A wrong, and the reverse.
    """

    benchmark: str
    questions: int
    videos: int
    accuracy_a: float
    accuracy_b: float
    interval: tuple[float, float]
    p: float
    by_task: dict[str, float]
    won: list[tuple[Outcome, Outcome]]
    lost: list[tuple[Outcome, Outcome]]


def compare(arguments: Sequence[str]) -> None:
    """The command. Raises SaviError for runs that share no question."""
    parser = OneLineParser(
        prog="savi compare",
        description="Compare two evaluations of the same questions: run folders (their last evaluation), folders of "
        "rows such as RUN/benchmarks/round_00, or single .jsonl files.",
    )
    parser.add_argument("run_a", type=Path, metavar="RUN_A", help="the evaluation to compare with")
    parser.add_argument("run_b", type=Path, metavar="RUN_B", help="the evaluation whose gain is reported: B minus A")
    parser.add_argument("--output", type=Path, help="write every question won or lost to this .jsonl file")
    options = parser.parse_args(arguments)
    a, b = read_evaluation(options.run_a), read_evaluation(options.run_b)
    shared = asked_of_both(a.outcomes, b.outcomes)
    if not shared:
        raise SaviError(f"{a} and {b} have no question in common")
    comparisons = [
        compare_outcomes(name, [pair for pair in shared if pair[0].benchmark == name])
        for name in dict.fromkeys(one.benchmark for one, _ in shared)
    ]
    for line in _report(a, b, comparisons, len(shared)):
        print(line)
    if options.output:
        write_json_lines(options.output, _changes(comparisons))


def compare_outcomes(name: str, pairs: Sequence[tuple[Outcome, Outcome]], seed: int = 0) -> Comparison:
    """pairs: what A and B made of each question."""
    tasks = Counter(a.task for a, _ in pairs)
    by_tasks = name in BENCHMARKS and BENCHMARKS[name].overall == "tasks"
    weights = [1 / (len(tasks) * tasks[a.task]) if by_tasks else 1 / len(pairs) for a, _ in pairs]
    changes = [float(b.correct) - float(a.correct) for a, b in pairs]
    videos = [a.video for a, _ in pairs]
    mean = sum(w * change for w, change in zip(weights, changes, strict=True))
    half = Z95 * clustered_error(changes, weights, [a.task if by_tasks else "" for a, _ in pairs], videos)
    by_video: defaultdict[str, float] = defaultdict(float)
    for weight, change, video in zip(weights, changes, videos, strict=True):
        by_video[video] += weight * change
    sums: defaultdict[str, float] = defaultdict(float)
    for (a, _), change in zip(pairs, changes, strict=True):
        sums[a.task] += change / tasks[a.task]
    return Comparison(
        benchmark=name,
        questions=len(pairs),
        videos=len(by_video),
        accuracy_a=sum(w * a.correct for w, (a, _) in zip(weights, pairs, strict=True)),
        accuracy_b=sum(w * b.correct for w, (_, b) in zip(weights, pairs, strict=True)),
        interval=(mean - half, mean + half),
        p=sign_flip_p(list(by_video.values()), seed),
        by_task={task: sums[task] for task in sorted(tasks)},
        won=[(a, b) for a, b in pairs if b.correct and not a.correct],
        lost=[(a, b) for a, b in pairs if a.correct and not b.correct],
    )


def sign_flip_p(changes: Sequence[float], seed: int = 0) -> float:
    """Two-sided p of a sum of changes whose signs are a coin's under the null (a paired randomisation test)."""
    values = np.array([change for change in changes if change])
    if not len(values):
        return 1.0
    random = np.random.default_rng(seed)
    reached = 0
    for _ in range(10):
        signs = random.integers(0, 2, (FLIPS // 10, len(values)), dtype=np.int8) * 2 - 1
        reached += int((np.abs(signs @ values) >= abs(values.sum()) - 1e-12).sum())
    return (1 + reached) / (1 + FLIPS)


def _report(a: Evaluation, b: Evaluation, comparisons: Sequence[Comparison], shared: int) -> list[str]:
    lines = [f"A: {a}", f"B: {b}"]
    only_a, only_b = len(a.outcomes) - shared, len(b.outcomes) - shared
    if only_a or only_b:
        lines.append(f"Left out: {only_a} questions that only A answered, {only_b} that only B did")
    for one in comparisons:
        title = BENCHMARKS[one.benchmark].title
        low, high = (100 * end for end in one.interval)
        change = 100 * (one.accuracy_b - one.accuracy_a)
        lines += [
            "",
            f"{title}: {100 * one.accuracy_a:.1f} -> {100 * one.accuracy_b:.1f} % ({change:+.1f}, 95 % interval "
            f"{low:+.1f} to {high:+.1f}, p = {one.p:.4f}) on {one.questions} questions, {one.videos} videos",
        ]
        lines += _differences(a, b, one.benchmark)
        lines += [f"  {task:<28}{100 * value:+6.1f}" for task, value in one.by_task.items() if len(one.by_task) > 1]
        for word, pairs in (("won", one.won), ("lost", one.lost)):
            lines.append(f"  {len(pairs)} {word}")
            lines += [f"    {a.id}: {a.question.splitlines()[0]} {_said(a)} -> {_said(b)}" for a, b in pairs[:SHOWN]]
    return lines


def _said(outcome: Outcome) -> str:
    return "(unread)" if outcome.pred is None else outcome.pred


def _differences(a: Evaluation, b: Evaluation, benchmark: str) -> list[str]:
    """What each was measured on, where that isn't the same: other frames of the same clips, say."""
    found = [one.measurements.get(benchmark) for one in (a, b)]
    if found[0] is None or found[1] is None or is_comparable(found[0], found[1]):
        return []
    return [f"  {name} was measured on {describe(one)}" for name, one in zip("AB", found, strict=True) if one]


def _changes(comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Every question that was won or lost."""
    return [
        _row(word, a, b)
        for one in comparisons
        for word, pairs in (("won", one.won), ("lost", one.lost))
        for a, b in pairs
    ]


def _row(word: str, a: Outcome, b: Outcome) -> dict[str, Any]:
    where = {"benchmark": a.benchmark, "id": a.id, "video": a.video, "task": a.task, "question": a.question}
    return {"outcome": word, **where, "answer": a.answer, "pred_a": a.pred, "pred_b": b.pred}
