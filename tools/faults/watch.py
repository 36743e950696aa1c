"""Waits for the moment of a kill by looking at the run's folder from outside."""

from __future__ import annotations

import csv
import time
from collections import Counter
from collections.abc import Callable, Collection
from itertools import accumulate
from pathlib import Path

from tools.faults.cases import Kill, Phase

FILES: dict[Phase, tuple[str, ...]] = {
    "building": ("pairs/*", "traces/*"),
    "stepping": ("metrics.csv",),
    "validating": ("metrics.csv",),
    "checkpoint": ("checkpoints/*",),
    "results": ("results.json", "benchmarks/*/world.jsonl", "validate/*"),
    "adapter": ("adapter/*", "adapter.tmp/*"),
    "closing": ("summary.png",),
}
"""What changes in a run's folder in each phase. Validating begins after the last step of a round."""

Snapshot = dict[str, tuple[int, int, int]]


def wait_for(kill: Kill, runs: Path, alive: Callable[[], bool], duration: float, ends: Collection[int]) -> bool:
    """Wait for the moment of a kill. False where the run has ended before it.

    runs: the folder of an experiment's runs. duration: seconds of an undisturbed run. ends: how many steps there have
    been at the end of each round.
    """
    if kill.phase == "any moment":
        return _sleep(kill.delay * duration, alive)
    patterns = FILES[kill.phase]
    seen, before = 0, snapshot(runs, patterns)
    while alive():
        now = snapshot(runs, patterns)
        if now != before:
            before = now
            seen += kill.phase != "validating" or steps(runs) in ends
            if seen >= kill.occurrence:
                return _sleep(kill.delay, alive)
        time.sleep(0.002)
    return False


def snapshot(runs: Path, patterns: Collection[str]) -> Snapshot:
    """Inode, size and time of each file that the patterns name."""
    found: Snapshot = {}
    for pattern in patterns:
        for path in runs.glob(f"version_*/{pattern}"):
            try:
                state = path.stat()
            except FileNotFoundError:  # renamed in this moment
                continue
            found[str(path)] = (state.st_ino, state.st_size, state.st_mtime_ns)
    return found


def steps(runs: Path) -> int:
    """How many optimizer steps the run has logged."""
    for path in runs.glob("version_*/metrics.csv"):
        with path.open(newline="") as file:
            return sum(1 for row in csv.DictReader(file) if row.get("loss"))
    return 0


def ends_of_rounds(run: Path) -> tuple[int, ...]:
    """How many optimizer steps a finished run had logged at the end of each round."""
    with (run / "metrics.csv").open(newline="") as file:
        rounds = Counter(row["epoch"] for row in csv.DictReader(file) if row["loss"])
    return tuple(accumulate(rounds.values()))


def _sleep(seconds: float, alive: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0 and alive():
        time.sleep(min(left, 0.02))
    return alive()
