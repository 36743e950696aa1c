"""The end of a run: the table, the picture, and where to look."""

from __future__ import annotations

from pathlib import Path

from savi.evaluation.measured import read_results
from savi.report.summary import draw_summary
from savi.report.table import print_evaluation, print_places, print_rejected, print_table


def close_fit(run: Path) -> None:
    """Print the table of a finished run and draw summary.png into its folder."""
    results = read_results(run / "results.json")
    draw_summary(results, run / "metrics.csv", run / "summary.png")
    print_table(results)
    print_rejected(run)
    print_places(run)


def close_evaluation(run: Path) -> None:
    """Print the table of one evaluation, next to the base where the fit measured it on the same questions."""
    print_evaluation(read_results(run / "results.json"))
    print_places(run)
