"""The table at the end of a run: before and after, on the terminal."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from savi.critique.round_files import read_progress, summarise_traces
from savi.evaluation.benchmarks.registry import BENCHMARKS
from savi.evaluation.measured import Entry, comparable_with_last, describe, heading, left_out, untrained
from savi.evaluation.tables import compares
from savi.report.held_out import print_held_out

MOST_TASKS = 8
"""Benchmarks with more tasks have one row; results.json has all."""

LISTED = 20
"""Most clips listed that a run left out."""


def print_table(results: Mapping[str, Any], console: Console | None = None) -> None:
    """Print base -> last round, accuracy by task and errors by kind, and what the run has learned from.

    results: as read_results() gives them; a run that measured nothing gets no table.
    """
    console = console or Console()
    rounds = results["rounds"]
    _print_measurements(results, console)
    print_held_out(results, console)
    for entry in rounds:
        if text := untrained(entry):
            _say(console, f"{heading(entry).capitalize()} {text}.")
    if text := _learned_from(rounds, results["run"].get("pairs")):
        _say(console, text)


def print_evaluation(results: Mapping[str, Any], console: Console | None = None) -> None:
    """Print the results of `savi validate` or `savi test`."""
    console = console or Console()
    _print_measurements(results, console)
    _say(console, f"Measured: {_measured_model(results['rounds'][-1], results['run'])}.")


def print_rejected(run: Path, console: Console | None = None) -> None:
    """Count and list what the run left out, with the reasons: rows of files of pairs, or clips of the last round."""
    source = run / "pairs" / "source.json"
    if source.is_file():
        _print_refused(json.loads(source.read_text(encoding="utf-8")), source, console or Console())
        return
    traces = sorted((run / "traces").glob("round_*.jsonl"))
    if not traces:
        return
    progress = read_progress(run / "pairs" / f"{traces[-1].stem}.progress.json")
    rejected = list(summarise_traces(traces[-1], progress).rejected.items())
    if not rejected:
        return
    console = console or Console()
    console.print(f"{len(rejected)} of {progress.clips} clips were left out:")
    for video, reason in rejected[:LISTED]:
        _say(console, f"  {video}: {reason}")
    if len(rejected) > LISTED:
        _say(console, f"  and {len(rejected) - LISTED} more, in {traces[-1]}")


def _print_refused(record: Mapping[str, Any], place: Path, console: Console) -> None:
    """record: of savi.training.given_rounds."""
    refused = record["refused"]
    if not refused:
        return
    _say(console, f"{len(refused)} of {len(refused) + record['pairs']} rows of {record['source']} were left out:")
    for row in refused[:LISTED]:
        _say(console, f"  {row['row']}: {row['reason']}")
    if len(refused) > LISTED:
        _say(console, f"  and {len(refused) - LISTED} more, in {place}")


def build_table(name: str, first: Entry, last: Entry) -> Table:
    """One section per benchmark of `last`: overall, its tasks where they are few, and its kinds of errors.

    first: an entry with measurements that are comparable, or `last` itself where there is none. A missing
    figure is a dash.
    """
    table = Table(title=f"{name}: held-out questions", title_justify="left")
    table.add_column("accuracy")
    more = [column for column in COLUMNS if any(column(*one) for one in last["benchmarks"].items())]
    once = first is last  # one measurement has nothing to be compared with
    heads = [heading(last)] if once else [heading(first), heading(last), "change"]
    for head in (*heads, *(COLUMNS[column] for column in more)):
        table.add_column(head, justify="right")
    for benchmark, after in last["benchmarks"].items():
        before = first["benchmarks"].get(benchmark, {})
        table.add_section()
        for number, (label, *sides, change) in enumerate(_rows(BENCHMARKS[benchmark].title, before, after)):
            cells = sides[1:] if once else [*sides, change]
            others = [column(benchmark, after) if number == 0 else "" for column in more]
            table.add_row(label, *cells, *others, style="" if number else "bold")
    return table


def _rows(title: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, str, str, Text]]:
    """(label, before, after, change) of each row of a benchmark."""
    yield title, *_shares(before, after, "accuracy")
    earlier, later = before.get("by_task", {}), after.get("by_task", {})
    tasks = _either(earlier, later)
    for task in tasks if 1 < len(tasks) <= MOST_TASKS else ():
        yield f"  {task}", *_shares(earlier, later, task)
    for label, key, better in (("free-form replies", "free_form_accuracy", 1), ("malformed replies", "malformed", -1)):
        if key in before or key in after:
            yield label, *_shares(before, after, key, better)
    earlier, later = before.get("errors", {}), after.get("errors", {})
    kinds = _either(earlier, later)
    if kinds:
        yield "errors", *_counts(_total(earlier), _total(later), "all")
    for kind in kinds:
        yield f"  {kind}", *_counts(earlier, later, kind)


def _interval(_: str, summary: Mapping[str, Any]) -> str:
    return " to ".join(f"{100 * end:.1f}" for end in summary.get("interval") or ())


def _unread(_: str, summary: Mapping[str, Any]) -> str:
    reads = "unread" in summary and summary.get("scorer") != "likelihood"
    return f"{summary['unread']} of {summary['items']}" if reads else ""


def _paper(benchmark: str, summary: Mapping[str, Any]) -> str:
    figures = BENCHMARKS[benchmark].paper
    if figures is None or not compares(summary):
        return ""
    return " \N{RIGHTWARDS ARROW} ".join(f"{value:.1f}" for value in figures)


COLUMNS = {_interval: "95 % interval", _unread: "unread", _paper: "paper"}
"""Further columns, each with its heading; one without an entry is left out."""


def _print_measurements(results: Mapping[str, Any], console: Console) -> None:
    """The table, and below it what its figures were measured on and what isn't compared with them."""
    rounds = comparable_with_last(results["rounds"])
    if not rounds:
        return
    console.print()
    console.print(build_table(results["run"]["name"], rounds[0], rounds[-1]))
    for benchmark, summary in rounds[-1]["benchmarks"].items():
        _say(console, f"{BENCHMARKS[benchmark].title}: {describe(summary)}")
    for entry, benchmark in left_out(results["rounds"]):
        place = describe(entry["benchmarks"][benchmark])
        _say(console, f"{BENCHMARKS[benchmark].title}, not compared: {heading(entry)} on {place}")


def print_places(run: Path, console: Console | None = None) -> None:
    """Print where to look at a run."""
    console = console or Console()
    if not (run / "summary.png").exists():  # an evaluation alone
        _say(console, f"Files: {run}")
        return
    _say(console, f"Look at it: {own_command()} view {run}")
    _say(console, f"Files:      {run} (pictures: summary.png)")


def own_command() -> str:
    """`savi`, or the path of its script where a shell doesn't find it by name: `make` runs `.venv/bin/savi`."""
    script = Path(sys.argv[0])
    return str(script) if script.name == "savi" and shutil.which("savi") is None else "savi"


def fill(text: str, columns: int) -> str:
    """The text in lines that fit a terminal. A longer word stays whole: it may be a path that is to be copied."""
    return textwrap.fill(text, columns, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def _say(console: Console, text: str) -> None:
    text = fill(text, console.width) if console.is_terminal else text
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def _either(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys([*before, *after]))


def _shares(before: Mapping[str, Any], after: Mapping[str, Any], name: str, better: int = 1) -> tuple[str, str, Text]:
    """Two shares in percent and their difference in points. better: 1 where more is better, -1 where less is."""
    shares = [entry.get(name) for entry in (before, after)]
    first, second = ("-" if share is None else f"{100 * share:.1f} %" for share in shares)
    if shares[0] is None or shares[1] is None:
        return first, second, Text("")
    change = round(100 * (shares[1] - shares[0]), 1)
    return first, second, Text(f"{change:+.1f}", _color(change * better))


def _counts(before: Mapping[str, int], after: Mapping[str, int], name: str) -> tuple[str, str, Text]:
    """Two counts and their difference; a dash where one side has no counts at all."""
    first, second = before.get(name, 0), after.get(name, 0)
    if not before or not after:
        return str(first) if before else "-", str(second) if after else "-", Text("")
    return str(first), str(second), Text(f"{second - first:+d}", _color(first - second))


def _total(counts: Mapping[str, int]) -> dict[str, int]:
    return {"all": sum(counts.values())} if counts else {}


def _color(gain: float) -> str:
    return "green" if gain > 0 else "red" if gain < 0 else "dim"


def _measured_model(entry: Entry, run: Mapping[str, Any]) -> str:
    """Which model an evaluation measured, and the file that it is in."""
    if not entry["round"]:
        return f"the base of {run['name']}, {run['base']}, before any training"
    place = entry.get("checkpoint")  # none for a model that was trained in this process
    parts = [f"{heading(entry)} of {run['name']}", untrained(entry), f"from {place}" if place else ""]
    return ", ".join(part for part in parts if part)


def _learned_from(rounds: Sequence[Entry], source: str | None) -> str:
    """source: of pairs from files."""
    pairs = [entry["pairs"] for entry in rounds if entry["round"]]
    if not pairs:
        return ""
    if source:
        return f"Learned from {pairs[-1]} pairs of {source} in {len(pairs)} round{'s' * (len(pairs) > 1)}."
    return f"Learned from {sum(pairs)} pairs that the model made itself ({' + '.join(map(str, pairs))})."
