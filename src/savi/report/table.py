"""The table at the end of a run: before and after, on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from savi.critique.pairs import json_records
from savi.evaluation.benchmarks.registry import BENCHMARKS

PLACES = {
    "summary.png": "pictures",
    "results.json": "every number",
    "metrics.csv": "training curves",
    "pairs": "what it learnt from",
    "traces": "every turn that was said",
    "adapter": "the trained adapter",
    "benchmarks": "replies and tables",
}
"""Where to look in a run's folder, and for what."""


LISTED = 20
"""Most clips listed that a run left out."""


def print_table(results: Mapping[str, Any], run: Path, console: Console | None = None) -> None:
    """Print base -> last round, accuracy by task and errors by kind, and where to look in the run's folder.

    results: the parsed results.json; a run without a benchmark has no accuracies, and gets no table.
    """
    console = console or Console()
    rounds = results["rounds"]
    measured = [entry for entry in rounds if "accuracy" in entry]
    if measured:
        console.print()
        console.print(build_table(results["run"]["name"], measured[0], measured[-1]))
    benchmarks = [entry for entry in rounds if entry.get("benchmarks")]
    if benchmarks:
        console.print()
        console.print(build_benchmark_table(results["run"]["name"], benchmarks[0], benchmarks[-1]))
    console.print(_learnt_from(rounds))
    for name, purpose in PLACES.items():
        if (run / name).exists():
            console.print(f"  {purpose:<25}{run / name}", soft_wrap=True, highlight=False, markup=False)


def print_rejected(run: Path, console: Console | None = None) -> None:
    """Count and list the clips that the run's last round left out, with the reason of each."""
    traces = sorted((run / "traces").glob("round_*.jsonl"))
    if not traces:
        return
    records = [record for _, record in json_records(traces[-1])]
    rejected = [record for record in records if record["rejected"] is not None]
    if not rejected:
        return
    console = console or Console()
    console.print(f"{len(rejected)} of {len(records)} clips were left out:")
    for record in rejected[:LISTED]:
        line = f"  {record['video']}: {record['rejected']}"
        console.print(line, soft_wrap=True, highlight=False, markup=False)
    if len(rejected) > LISTED:
        console.print(f"  and {len(rejected) - LISTED} more, in {traces[-1]}", soft_wrap=True, highlight=False)


def build_table(name: str, base: Mapping[str, Any], last: Mapping[str, Any]) -> Table:
    """base, last: two entries of results.json. A task that only one of them has shows a dash for the other."""
    table = Table(title=f"{name}: {base['items']} held-out questions", title_justify="left")
    table.add_column("accuracy")
    columns = 2 if base is last else 4  # one measurement has nothing to be compared with
    for heading in (_heading(base), _heading(last), "change")[: columns - 1]:
        table.add_column(heading, justify="right")

    def row(*cells: str | Text, **options: Any) -> None:
        table.add_row(*cells[:columns], **options)

    row("overall", *_shares(base, last, "accuracy"), style="bold")
    for task in _either(base["by_task"], last["by_task"]):
        row(f"  {task}", *_shares(base["by_task"], last["by_task"], task))
    row("in its own words", *_shares(base, last, "free_form_accuracy"))
    row("malformed replies", *_shares(base, last, "malformed", better=-1), end_section=True)
    kinds = _either(base["errors"], last["errors"])
    if kinds:
        totals = [{"total": sum(entry["errors"].values())} for entry in (base, last)]
        row("errors", *_counts(totals[0], totals[1], "total"), style="bold")
    for kind in kinds:
        row(f"  {kind}", *_counts(base["errors"], last["errors"], kind))
    return table


def build_benchmark_table(name: str, base: Mapping[str, Any], last: Mapping[str, Any]) -> Table:
    """base, last: two entries of results.json with benchmarks. The paper's figures stand beside."""
    table = Table(title=f"{name}: benchmarks", title_justify="left")
    table.add_column("accuracy")
    once = base is last
    for heading in ([] if once else [_heading(base)]) + [_heading(last), "95 % interval", "unread", "paper"]:
        table.add_column(heading, justify="right")
    for benchmark, summary in last["benchmarks"].items():
        before = base["benchmarks"].get(benchmark, {"accuracy": None})
        published = BENCHMARKS[benchmark]
        ends = " to ".join(f"{100 * end:.1f}" for end in summary["interval"] or ())
        paper = " \N{RIGHTWARDS ARROW} ".join(f"{value:.1f}" for value in published.paper)
        cells = [published.title, *([] if once else [_percent(before["accuracy"])]), _percent(summary["accuracy"])]
        table.add_row(*cells, ends, f"{summary['unread']} of {summary['items']}", paper)
    return table


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _heading(entry: Mapping[str, Any]) -> str:
    return f"round {entry['round']}" if entry["round"] else "base"


def _either(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys([*before, *after]))


def _shares(before: Mapping[str, Any], after: Mapping[str, Any], name: str, better: int = 1) -> tuple[str, str, Text]:
    """Two shares in percent and their difference in points. better: 1 where more is better, -1 where less is."""
    first, second = (f"{100 * entry[name]:.1f} %" if name in entry else "-" for entry in (before, after))
    if name not in before or name not in after:
        return first, second, Text("")
    change = round(100 * (after[name] - before[name]), 1)
    return first, second, Text(f"{change:+.1f}", _color(change * better))


def _counts(before: Mapping[str, int], after: Mapping[str, int], name: str) -> tuple[str, str, Text]:
    first, second = before.get(name, 0), after.get(name, 0)
    return str(first), str(second), Text(f"{second - first:+d}", _color(first - second))


def _color(gain: float) -> str:
    return "green" if gain > 0 else "red" if gain < 0 else "dim"


def _learnt_from(rounds: list[dict[str, Any]]) -> str:
    pairs = [entry["pairs"] for entry in rounds if entry["round"]]
    if not pairs:
        return "Where to look:"
    each = " + ".join(map(str, pairs))
    return f"Learnt from {sum(pairs)} pairs of its own making ({each}). Where to look:"
