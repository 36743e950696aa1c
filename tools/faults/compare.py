"""Whether a run that was killed and resumed is the run that it would have been."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import torch

MAY_DIFFER = frozenset({"seconds", "checkpoint"})
"""Of results.json: times, and the path of the validated checkpoint, which goes where the run's folder goes."""
OWN = ("config", "lock", "summary.png")
"""How the names of files begin that are each start's own, or drawn from the others."""
TIMED = ("seconds/", "speed/", "memory/")
"""How the names of metrics begin that no two runs have in common."""
CHECKPOINT = ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch")


def differences(reference: Path, run: Path) -> list[str]:
    """What differs between the folders of two runs, in words; [] where they are equal."""
    expected, found = _files(reference), _files(run)
    names = [f"{name} is missing" for name in sorted(expected - found)]
    names += [f"{name} is left over" for name in sorted(found - expected)]
    return names + [f"{name} differs" for name in sorted(expected & found) if _differ(reference / name, run / name)]


def _files(run: Path) -> set[str]:
    files = (path for path in run.rglob("*") if path.is_file() and not path.name.startswith(OWN))
    return {path.relative_to(run).as_posix() for path in files}


def _differ(one: Path, other: Path) -> bool:
    try:
        if one.name == "results.json":
            results = [_without(json.loads(file.read_text()), MAY_DIFFER) for file in (one, other)]
            return bool(results[0] != results[1])
        if one.name == "metrics.csv":
            return untimed_rows(one) != untimed_rows(other)
        if one.suffix == ".ckpt":
            return not _equal(_checkpoint(one), _checkpoint(other))
    except Exception:  # half a checkpoint raises whatever its first bytes make of it
        return True
    return one.read_bytes() != other.read_bytes()


def _without(value: Any, names: frozenset[str]) -> Any:
    """A JSON value without the entries of some names, at any depth."""
    if isinstance(value, dict):
        return {name: _without(inner, names) for name, inner in value.items() if name not in names}
    return [_without(inner, names) for inner in value] if isinstance(value, list) else value


def untimed_rows(path: Path) -> list[dict[str, float]]:
    """The rows of metrics.csv, without times and empty cells: a step that stands twice is two rows."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [{name: float(cell) for name, cell in row.items() if cell and not name.startswith(TIMED)} for row in rows]


def _checkpoint(path: Path) -> dict[str, Any]:
    loaded = torch.load(path, map_location="cpu", weights_only=True)
    return {name: loaded[name] for name in CHECKPOINT}


def _equal(one: Any, other: Any) -> bool:
    """Equality to the bit, through tensors, mappings and lists."""
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(_equal(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(_equal(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)
