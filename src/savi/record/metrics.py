"""metrics.csv in a run's folder, read back, and the words for some figures."""

from __future__ import annotations

import csv
import io
from pathlib import Path

METRICS = "metrics.csv"
"""Name of the file in a run's folder, as Lightning's CSVLogger has it."""

FIGURES = {
    "right": "labelled questions right",
    "found_right": "found right by the base",
    "agreement": "samples that agree with the reply",
    "malformed": "malformed replies",
}
"""The shares of an entry's `held_out`, see savi.alignment.held_out_figures, and what they are called."""


def metric_name(name: str) -> str:
    """A metric's name without blanks, at which queries and expressions of dashboards end a name."""
    return name.replace(" ", "_")


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a metrics file; [] where there is none. A last line that a kill has cut off is left out.

    Names are without blanks, which those of older runs have.
    """
    if not path.is_file():
        return []
    text = path.read_bytes().decode("utf-8", "replace")
    rows = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1]))
    whole = (row for row in rows if (row.get("step") or "").isdigit())
    return [{metric_name(name): value for name, value in row.items() if name} for row in whole]
