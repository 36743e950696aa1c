"""What a run shows at its end: the table, the picture, and where everything is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from savi.report.summary import draw_summary
from savi.report.table import print_rejected, print_table


def close_fit(run: Path) -> None:
    """Print the table of a finished run and draw summary.png into its folder."""
    results: dict[str, Any] = json.loads((run / "results.json").read_text(encoding="utf-8"))
    draw_summary(results, run / "metrics.csv", run / "summary.png")
    print_table(results, run)
    print_rejected(run)


def close_validate(run: Path) -> None:
    """Print the table of one evaluation, beside the base where the run measured it."""
    results: dict[str, Any] = json.loads((run / "results.json").read_text(encoding="utf-8"))
    print_table(results, run)
