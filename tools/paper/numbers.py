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
    """A mean over bases, with half the width of two 95 % intervals (Student's t).

    over_bases: taken over the means of the bases, so that it says something of other bases; None for a single base.
    over_runs: taken over all runs as if they were independent, the spread of runs on these bases; None where no base
    has two runs that differ.
    """

    mean: float
    over_bases: float | None
    over_runs: float | None
    bases: int
    runs: int

    @property
    def half(self) -> float | None:
        """The wider of the two, which every sentence and verdict means; None for a single base."""
        return None if self.over_bases is None else max(self.over_bases, self.over_runs or 0.0)

    @property
    def sign(self) -> int:
        """1 or -1 where the wider interval is clear of zero; else, and for a single base, 0."""
        if self.half is None or abs(self.mean) <= self.half:
            return 0
        return 1 if self.mean > 0 else -1


def estimate(values: Iterable[tuple[str, float | None]]) -> Estimate | None:
    """From the number of each run with the name of its base, leaving out those that are None; None without any."""
    by_name: dict[str, list[float]] = {}
    for base, value in values:
        if value is not None:
            by_name.setdefault(base, []).append(value)
    if not by_name:
        return None
    means = [fmean(of_base) for of_base in by_name.values()]
    runs = [value for of_base in by_name.values() for value in of_base]
    differ = any(len(set(of_base)) > 1 for of_base in by_name.values())
    return Estimate(fmean(means), _half(means), _half(runs) if differ else None, len(means), len(runs))


def _half(values: Sequence[float]) -> float | None:
    """Half the width of the 95 % interval of a mean, by t for n - 1 degrees of freedom; None for a single value."""
    if len(values) < 2:
        return None
    return T975[min(len(values) - 1, len(T975)) - 1] * stdev(values) / math.sqrt(len(values))


def of_pairs(differences: ByRun) -> Estimate | None:
    """From paired differences."""
    return estimate((base, value) for (base, _), value in differences.items())


def means_of_bases(values: ByRun) -> list[float]:
    """The mean of each base."""
    names = dict.fromkeys(base for base, _ in values)
    return [fmean(value for (base, _), value in values.items() if base == name) for name in names]


def of_runs(runs: Iterable[Run], value: Callable[[Run], float | None]) -> Estimate | None:
    """From a number of each run."""
    return estimate((run.base, value(run)) for run in runs)


def show(value: Estimate | None, signed: bool = False, scale: float = 100) -> str:
    """For a table, in points: "+32.8 ± 17.0 (4.6)", the interval over bases and in brackets the spread of runs.

    "+34.5 (2.5)" for a single base; "-" for None.
    """
    if value is None:
        return "-"
    over_bases = "" if value.over_bases is None else f" ± {scale * value.over_bases:.1f}"
    over_runs = "" if value.over_runs is None else f" ({scale * value.over_runs:.1f})"
    return _mean(value, signed, scale) + over_bases + over_runs


def say(value: Estimate | None, signed: bool = False, scale: float = 100) -> str:
    """For a sentence, in points: "+32.8 ± 17.0", the wider interval; "+34.5" for a single base; "-" for None."""
    if value is None:
        return "-"
    return _mean(value, signed, scale) + ("" if value.half is None else f" ± {scale * value.half:.1f}")


def _mean(value: Estimate, signed: bool, scale: float) -> str:
    return f"{scale * value.mean:{'+' if signed else ''}.1f}"


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

    def on_set(self, experiment: str, name: str) -> ByRun:
        """The accuracy of each run of an experiment on a held-out set."""
        return {
            (base, seed): value for (of, on, base, seed), value in self.sets.items() if (of, on) == (experiment, name)
        }

    def paired_on_set(self, one: str, other: str, name: str) -> ByRun:
        """Their differences on a set. A base is measured once for all seeds."""
        values = self.on_set(other, name)
        if other == "base":
            bases = {base: value for (base, _), value in values.items()}
            values = {key[2:]: bases[key[2]] for key in self.sets if key[2] in bases}
        return {key: value - values[key] for key, value in self.on_set(one, name).items() if key in values}

    def paired(self, one: str, other: str, value: Callable[[Run], float] = lambda run: run.last["accuracy"]) -> ByRun:
        """The differences of two experiments' runs."""
        others = {run.key: value(run) for run in self.runs(other)}
        return {run.key: value(run) - others[run.key] for run in self.runs(one) if run.key in others}


def by_base(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """The runs of each base."""
    return {base: [run for run in runs if run.base == base] for base in dict.fromkeys(run.base for run in runs)}
