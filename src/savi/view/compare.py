"""The view of several runs: the settings that differ between them. Its figures are other views' documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from savi.view.run import ViewedRun

OF_A_START = ("runs", "name", "config", "ckpt_path", "wandb", "force")
"""Settings that say where a run is and how it was begun."""


def differing_settings(runs: Sequence[ViewedRun]) -> dict[str, Any]:
    """The document of the view: [setting, its value in each run] of those that differ; None where a run has none."""
    settings = [dict(_flat(run.config)) for run in runs]
    names = dict.fromkeys(name for found in settings for name in found)
    rows = [[name, *(found.get(name) for found in settings)] for name in sorted(names) if name not in OF_A_START]
    return {"rows": [row for row in rows if len(set(row[1:])) > 1]}


def _flat(value: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names of all settings, and their values as text."""
    for name, inside in value.items():
        if isinstance(inside, Mapping) and inside:
            yield from _flat(inside, f"{before}{name}.")
        else:
            yield f"{before}{name}", "null" if inside is None else str(inside)
