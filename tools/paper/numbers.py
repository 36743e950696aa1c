"""From lines of results to numbers: means with intervals, paired differences, runs by experiment."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean, stdev
from typing import Any

from savi.critique.readiness import Readiness

# 97.5 % quantiles of Student's t by degrees of freedom; beyond 30 the last one, a little too wide.
T975 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


ByRun = dict[tuple[str, int], float]
"""A number for each base and seed, a difference of two runs as a rule: the same base, the same seed."""


@dataclass(frozen=True)
class Estimate:
    """A mean over runs, and half the width of its 95 % interval (Student's t); None for a single run."""

    mean: float
    half: float | None
    runs: int

    @property
    def sign(self) -> int:
        """1 or -1 where the interval is clear of zero; else, and of a single run, 0."""
        if self.half is None or abs(self.mean) <= self.half:
            return 0
        return 1 if self.mean > 0 else -1


def estimate(values: Iterable[float | None]) -> Estimate | None:
    """Of what there is; None of nothing."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    if len(known) == 1:
        return Estimate(known[0], None, 1)
    degrees = len(known) - 1
    half = T975[min(degrees, len(T975)) - 1] * stdev(known) / math.sqrt(len(known))
    return Estimate(fmean(known), half, len(known))


def over_runs(values: Iterable[tuple[str, float | None]]) -> Estimate | None:
    """Of a number of each run with the name of its base, which may be the base's own, whatever the run's seed.

    Where all runs of a base agree, in every base, the number is the bases' and counts once for each.
    """
    by_name: dict[str, list[float]] = {}
    for base, value in values:
        if value is not None:
            by_name.setdefault(base, []).append(value)
    if all(len(set(one)) == 1 for one in by_name.values()):
        return estimate(one[0] for one in by_name.values())
    return estimate(value for one in by_name.values() for value in one)


def show(value: Estimate | None, signed: bool = False, scale: float = 100) -> str:
    """ "+24.1 ± 2.0", in points; "-" of nothing."""
    if value is None:
        return "-"
    mean = f"{scale * value.mean:{'+' if signed else ''}.1f}"
    return mean if value.half is None else f"{mean} ± {scale * value.half:.1f}"


@dataclass(frozen=True)
class Run:
    """A finished run. rounds: those that were measured, the base first. first_pairs: as `gather.right_in_pairs`."""

    base: str
    kind: str
    experiment: str
    seed: int
    command: str
    rounds: tuple[dict[str, Any], ...]
    readiness: dict[str, Any] | None
    first_pairs: dict[str, int]

    @property
    def key(self) -> tuple[str, int]:
        return self.base, self.seed

    @property
    def before(self) -> dict[str, Any]:
        return self.rounds[0]

    @property
    def last(self) -> dict[str, Any]:
        return self.rounds[-1]

    @property
    def gain(self) -> float:
        gain: float = self.last["accuracy"] - self.before["accuracy"]
        return gain

    @property
    def gain_in_own_words(self) -> float | None:
        """The gain where the greedy reply counts and not the likeliest option; None where it wasn't measured."""
        before, after = (entry.get("free_form_accuracy") for entry in (self.before, self.last))
        return None if before is None or after is None else after - before

    def right(self, side: str) -> float | None:
        """How often a side of the first round's pairs is right, "chosen" or "rejected"; None without such a pair."""
        pairs = self.first_pairs
        return pairs[side] / pairs["answerable"] if pairs["answerable"] else None

    @property
    def advantage(self) -> float | None:
        """How many more of the labelled questions the run's critic had answered right than the base, a share."""
        found = self.readiness or {}
        greedy, revised = found.get("greedy"), found.get("revised")
        return None if greedy is None or revised is None else revised - greedy

    def concerns(self, labels: bool) -> list[str]:
        """What the readiness check warns of, by its labelled questions too or without them."""
        found = Readiness(**self.readiness or {})
        return (found if labels else replace(found, labelled=0, greedy=None, revised=None)).concerns()


class Study:
    """The lines of a result file, by what the page asks of them."""

    def __init__(self, rows: Sequence[dict[str, Any]]) -> None:
        self.plan = next((row for row in rows if row["row"] == "study"), {"quick": False, "fits": 0, "measurements": 0})
        self.bases = {row["label"]: row for row in rows if row["row"] == "base"}
        self.failed = [row["label"] for row in rows if "failed" in row]
        self.rows = [row for row in rows if row["row"] in ("fit", "set")]
        self.all = [
            Run(
                row["base"],
                self.bases[row["base"]]["kind"],
                row["experiment"],
                row["seed"],
                row["command"],
                tuple(row["rounds"]),
                row["readiness"],
                row["first_pairs"],
            )
            for row in rows
            if row["row"] == "fit" and "failed" not in row
        ]

    def runs(self, experiment: str, kind: str = "main") -> list[Run]:
        """The finished runs of an experiment on bases of a kind."""
        return [run for run in self.all if (run.experiment, run.kind) == (experiment, kind)]

    @cached_property
    def sets(self) -> dict[tuple[str, str, str, int], float]:
        """Accuracy by experiment (or "base"), set, base and seed."""
        return {
            (row["experiment"], row["set"], row["base"], row["seed"]): row["accuracy"]
            for row in self.rows
            if row["row"] == "set" and "failed" not in row
        }

    def on_set(self, experiment: str, name: str) -> list[float]:
        """The accuracies of all runs of an experiment on a held-out set."""
        return [value for (of, on, *_), value in self.sets.items() if (of, on) == (experiment, name)]

    def paired_on_set(self, one: str, other: str, name: str) -> ByRun:
        """Their differences on a set. A base is measured once for all seeds."""
        values = {(base, seed): value for (of, on, base, seed), value in self.sets.items() if (of, on) == (other, name)}
        if other == "base":
            bases = {base: value for (base, _), value in values.items()}
            values = {key[2:]: bases[key[2]] for key in self.sets if key[2] in bases}
        return {
            (base, seed): value - values[base, seed]
            for (of, on, base, seed), value in self.sets.items()
            if (of, on) == (one, name) and (base, seed) in values
        }

    def paired(self, one: str, other: str, value: Callable[[Run], float] = lambda run: run.last["accuracy"]) -> ByRun:
        """The differences of two experiments' runs."""
        others = {run.key: value(run) for run in self.runs(other)}
        return {run.key: value(run) - others[run.key] for run in self.runs(one) if run.key in others}


def by_base(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """The runs of each base."""
    return {base: [run for run in runs if run.base == base] for base in dict.fromkeys(run.base for run in runs)}
