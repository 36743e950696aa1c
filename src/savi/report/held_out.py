"""The table of held-out clips at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from savi.evaluation.measured import heading
from savi.record.metrics import FIGURES

NO_LABEL = (
    "These are no accuracies, but for labelled questions: agreement also rises where a model says the same to "
    "everything (then fewer replies differ), and the base judges with faults of its own (docs/evaluation.md)."
)


def print_held_out(results: Mapping[str, Any], console: Console) -> None:
    """Print base -> last round with the interval of each change; nothing for a run without held-out clips."""
    measured = [entry for entry in results["rounds"] if entry.get("held_out")]
    if not measured:
        return
    first, last = measured[0]["held_out"], measured[-1]["held_out"]
    table = Table(title=f"{results['run']['name']}: held-out clips", title_justify="left")
    table.add_column("by the base's judgment", no_wrap=True)
    for head in (heading(measured[0]), heading(measured[-1]), "change (95 %)"):
        table.add_column(head, justify="right")
    for name, label in FIGURES.items():
        if name in last:
            table.add_row(label, *_row(first.get(name), last[name], 100, " %"))
    if last["different"] is not None:
        shares = [f"{100 * one['different']:.1f} %" for one in (first, last)]
        table.add_row("different replies", *shares, f"{100 * (last['different'] - first['different']):+.1f}")
    table.add_row("tokens per reply", *_row(first.get("tokens"), last["tokens"], 1, ""))
    console.print()
    console.print(table)
    asked = f"{last['questions']} questions of the base about {last['clips']} clips"
    own = f", {last['labelled']} labelled ones" if last["labelled"] else ""
    console.print(f"{asked}{own}. {NO_LABEL}", soft_wrap=True, highlight=False, markup=False)


def _row(before: Mapping[str, Any] | None, after: Mapping[str, Any], factor: int, unit: str) -> tuple[str, ...]:
    """Two means, and their change with its interval."""
    cells = [f"{factor * one['mean']:.1f}{unit}" if one else "-" for one in (before, after)]
    if "change" not in after:  # of the base alone
        return *cells, ""
    change, interval = f"{factor * after['change']:+.1f}", after["change_interval"]
    return *cells, change + (" ({:+.1f} to {:+.1f})".format(*(factor * end for end in interval)) if interval else "")
