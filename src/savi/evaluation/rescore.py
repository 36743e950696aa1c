"""`savi score`: scores replies that are already written, without a model."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from savi.evaluation.benchmarks.items import Asked, Benchmark, Judge
from savi.evaluation.benchmarks.registry import BENCHMARKS
from savi.evaluation.benchmarks.rows import Row, read_lines
from savi.evaluation.grading import Graded, Grader, summarise
from savi.evaluation.options import OneLineParser
from savi.files import write_json_lines
from savi.types import SaviError


def score(arguments: Sequence[str]) -> None:
    """The command. Raises SaviError for a file, a row or a judge that won't do."""
    parser = OneLineParser(
        prog="savi score",
        description="Score replies as lmms-eval does. A row holds benchmark, task, question, options, answer (the "
        "right letter; for TempCompass yes, no or the whole line) and response.",
    )
    parser.add_argument("replies", type=Path, metavar="REPLIES.jsonl", help="a file of rows, one per reply")
    parser.add_argument("--output", type=Path, help="write the rows with pred, correct and fallback to this file")
    strict = "unreadable replies are wrong; by default an option is drawn for each"
    parser.add_argument("--strict", action="store_true", help=strict)
    parser.add_argument("--judge", metavar="MODULE:FUNCTION", help="for TempCompass: a function from prompt to answer")
    options = parser.parse_args(arguments)
    rows = read_lines(options.replies)
    if not rows:
        raise SaviError(f"{options.replies}: no rows")
    asked = [read_row(row) for row in rows]
    scored = score_rows(rows, asked, options.strict, find_judge(options.judge) if options.judge else None)
    if options.output:
        write_json_lines(options.output, [row for row, _ in scored])
    owners = [benchmark_of(row) for row in rows]
    for benchmark in dict.fromkeys(owners):
        graded = [one for owner, (_, one) in zip(owners, scored, strict=True) if owner is benchmark]
        print("\n".join(totals(benchmark.title, summarise(benchmark, graded), options.strict)))


def benchmark_of(row: Row) -> Benchmark:
    """By its name in any spelling, or a task of lmms-eval's such as "nextqa_mc_test". Raises SaviError."""
    given = row.text("benchmark")
    plain = re.sub(r"[^a-z]", "", given.lower())
    for name, benchmark in BENCHMARKS.items():
        if plain.startswith(name):
            return benchmark
    raise SaviError(f"{row.place}: benchmark {given!r} is unknown; known: {', '.join(BENCHMARKS)}")


def read_row(row: Row) -> Asked:
    """The question of a row. Raises SaviError."""
    benchmark = benchmark_of(row)
    if "response" not in row.fields:
        raise SaviError(f"{row.place}: the field 'response' is missing")
    if row.has("response"):  # null where a model gave nothing
        row.get("response", str)
    asked = benchmark.normalize_row(row)
    if wrong := benchmark.check(asked):
        raise SaviError(f"{row.place}: {wrong}")
    return asked


def score_rows(
    rows: Sequence[Row], asked: Sequence[Asked], strict: bool, judge: Judge | None
) -> list[tuple[dict[str, Any], Graded]]:
    """Every row with pred, correct and fallback, in order. Each benchmark has draws of its own."""
    graders = {name: Grader(benchmark, strict, judge) for name, benchmark in BENCHMARKS.items()}
    scored = []
    for number, (row, one) in enumerate(zip(rows, asked, strict=True)):
        grade = graders[benchmark_of(row).name].grade(one, row.fields["response"] or "")
        found = {"pred": grade.pred, "correct": grade.correct, "fallback": grade.fallback}
        extra = {name: value for name, value in (("drawn", grade.drawn), ("judged", grade.judged)) if value is not None}
        # Without a video's name each row counts as a video of its own.
        video = str(row.fields.get("video", number))
        groups = row.get("groups", dict) if row.has("groups") else {}
        scored.append((row.fields | found | extra, Graded(one, grade, video, groups)))
    return scored


def find_judge(name: str) -> Judge:
    """A function named as module:function, from the Python path or the current folder. Raises SaviError."""
    module, _, function = name.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        judge: Judge = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise SaviError(f"--judge {name}: {error}; it takes module:function") from None
    return judge


def totals(title: str, summary: dict[str, Any], strict: bool) -> list[str]:
    """The accuracies of one benchmark and everything that was not simply read, in lines."""
    lines = [f"{title}: no public answers among {summary['items']} replies"]
    if summary["accuracy"] is not None:
        ends = [f"{100 * end:.1f}" for end in summary["interval"] or ()]
        interval = f" (95 % interval {' to '.join(ends)})" if ends else ""
        lines = [f"{title}: {100 * summary['accuracy']:.2f} %{interval}, {summary['counted']} replies counted"]
    shares = summary["by_task"]
    lines += [f"  {task:<28}{100 * share:6.2f} %" for task, share in shares.items() if len(shares) > 1]
    instead = "counted as wrong" if strict else "drawn at random, judged, or wrong without a judge"
    lines.append(f"  {summary['unread']} replies: nothing was read in them")
    lines.append(f"  {summary['fallbacks']} of these: the reference draws at random or asks a judge ({instead})")
    notes = {"left_out": "empty, and left out as in the reference", "unlabelled": "without a public answer"}
    return lines + [f"  {summary[name]} replies: {note}" for name, note in notes.items() if summary[name]]
