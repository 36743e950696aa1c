"""`savi compare`: whether one run answers better than another, question by question on the same videos."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from savi.evaluation.benchmarks.files import Row, read_lines
from savi.evaluation.benchmarks.registry import BENCHMARKS
from savi.evaluation.intervals import Z95, clustered_error
from savi.evaluation.options import OneLineParser
from savi.types import SaviError

WORLD = "world"
FLIPS = 10_000
SHOWN = 3
"""Most questions shown of those won, and of those lost; --output has all."""


@dataclass(frozen=True)
class Outcome:
    """What a run made of one question. pred: what it answered, as far as it was read."""

    benchmark: str
    id: str
    video: str
    task: str
    question: str
    answer: str
    pred: str | None
    correct: bool


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
    parser.add_argument("run_a", type=Path, metavar="RUN_A")
    parser.add_argument("run_b", type=Path, metavar="RUN_B")
    parser.add_argument("--output", type=Path, help="write every question won or lost to this .jsonl file")
    options = parser.parse_args(arguments)
    a, b = read_outcomes(options.run_a), read_outcomes(options.run_b)
    shared = [key for key in a if key in b]
    if not shared:
        raise SaviError(f"{options.run_a} and {options.run_b} have no question in common")
    comparisons = []
    for name in dict.fromkeys(benchmark for benchmark, _ in shared):
        comparisons.append(compare_outcomes(name, [(a[key], b[key]) for key in shared if key[0] == name]))
    for line in _report(options.run_a, options.run_b, comparisons, len(a) - len(shared), len(b) - len(shared)):
        print(line)
    if options.output:
        _write(options.output, comparisons)


def read_outcomes(run: Path) -> dict[tuple[str, str], Outcome]:
    """The labelled questions of an evaluation by (benchmark, id). Raises SaviError where there are none."""
    outcomes = {}
    for path in _files(run):
        for row in read_lines(path):
            outcome = _world(row) if "choice" in row.fields else _benchmark(row)
            if outcome.answer:
                outcomes[outcome.benchmark, outcome.id] = outcome
    if not outcomes:
        raise SaviError(f"{run}: no answered questions with a known answer")
    return outcomes


def _files(run: Path) -> list[Path]:
    """The rows of a run's last evaluation: that of `savi validate` in it where there is one."""
    if run.is_file():
        return [run]
    if not run.is_dir():
        raise SaviError(f"{run}: no such file or folder")
    for folder in (run / "validate", run):
        items = [*folder.glob("items.jsonl"), *sorted((folder / "items").glob("round_*.jsonl"))[-1:]][:1]
        benchmarks = folder / "benchmarks"
        last = [benchmarks] if any(benchmarks.glob("*.jsonl")) else sorted(benchmarks.glob("round_*"))[-1:]
        rows = [path for place in [*last, run] for path in _scored(place)]
        if items or rows:
            return [*items, *rows]
    return []


def _scored(folder: Path) -> list[Path]:
    return sorted(folder / f"{name}.jsonl" for name in BENCHMARKS if (folder / f"{name}.jsonl").is_file())


def _benchmark(row: Row) -> Outcome:
    return Outcome(
        row.text("benchmark"),
        row.text("id"),
        row.text("video"),
        row.text("task"),
        row.text("question"),
        row.text("answer"),
        row.fields.get("pred"),
        row.fields.get("correct") is True,
    )


def _world(row: Row) -> Outcome:
    answer, choice = row.text("answer"), row.text("choice")
    where = (row.text("id"), row.text("video"), row.text("task"), row.text("question"))
    return Outcome(WORLD, *where, answer, choice, choice == answer)


def compare_outcomes(name: str, pairs: Sequence[tuple[Outcome, Outcome]], seed: int = 0) -> Comparison:
    """Raises SaviError where the runs were asked different questions under one id."""
    for a, b in pairs:
        if (a.question, a.answer, a.task) != (b.question, b.answer, b.task):
            raise SaviError(
                f"{name}: the runs were asked different questions as {a.id}: {a.question!r}, {b.question!r}"
            )
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


def _report(run_a: Path, run_b: Path, comparisons: Sequence[Comparison], only_a: int, only_b: int) -> list[str]:
    lines = [f"A: {run_a}", f"B: {run_b}"]
    if only_a or only_b:
        lines.append(f"Left out: {only_a} questions that only A answered, {only_b} that only B did")
    for one in comparisons:
        title = BENCHMARKS[one.benchmark].title if one.benchmark in BENCHMARKS else one.benchmark
        low, high = (100 * end for end in one.interval)
        change = 100 * (one.accuracy_b - one.accuracy_a)
        lines += [
            "",
            f"{title}: {100 * one.accuracy_a:.1f} -> {100 * one.accuracy_b:.1f} % ({change:+.1f}, 95 % interval "
            f"{low:+.1f} to {high:+.1f}, p = {one.p:.4f}) on {one.questions} questions, {one.videos} videos",
        ]
        lines += [f"  {task:<28}{100 * value:+6.1f}" for task, value in one.by_task.items() if len(one.by_task) > 1]
        for word, pairs in (("won", one.won), ("lost", one.lost)):
            lines.append(f"  {len(pairs)} {word}")
            lines += [f"    {a.id}: {a.question.splitlines()[0]} {_said(a)} -> {_said(b)}" for a, b in pairs[:SHOWN]]
    return lines


def _said(outcome: Outcome) -> str:
    return "(unread)" if outcome.pred is None else outcome.pred


def _write(path: Path, comparisons: Sequence[Comparison]) -> None:
    lines = [
        json.dumps(_row(word, a, b), ensure_ascii=False) + "\n"
        for one in comparisons
        for word, pairs in (("won", one.won), ("lost", one.lost))
        for a, b in pairs
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines), encoding="utf-8")


def _row(word: str, a: Outcome, b: Outcome) -> Mapping[str, Any]:
    where = {"benchmark": a.benchmark, "id": a.id, "video": a.video, "task": a.task, "question": a.question}
    return {"outcome": word, **where, "answer": a.answer, "pred_a": a.pred, "pred_b": b.pred}
