"""From result files to numbers: accuracies of runs, their means with intervals, and what the language prior caused."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from paper.plan import Fit, Measurement
from savi.world import BASE
from savi.world.lessons import Prior
from savi.world.questions import NUMBERS, Query
from savi.world.scenes import CHANGES, COLORS, DIRECTIONS, PLACES, SHAPES

# 97.5 % quantiles of Student's t by degrees of freedom; beyond 30 the last one, a little too wide.
T975 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


@dataclass(frozen=True)
class Estimate:
    """A mean over runs, and half the width of its 95 % interval (Student's t); None for a single run."""

    mean: float
    half: float | None
    runs: int


def estimate(values: Sequence[float]) -> Estimate | None:
    """None of nothing."""
    if not values:
        return None
    if len(values) == 1:
        return Estimate(values[0], None, 1)
    degrees = len(values) - 1
    half = T975[min(degrees, len(T975)) - 1] * stdev(values) / math.sqrt(len(values))
    return Estimate(fmean(values), half, len(values))


def show(value: Estimate | None, signed: bool = False, scale: float = 100) -> str:
    """ "+24.1 ± 2.0", in points; "-" of nothing."""
    if value is None:
        return "-"
    mean = f"{scale * value.mean:{'+' if signed else ''}.1f}"
    return mean if value.half is None else f"{mean} ± {scale * value.half:.1f}"


@dataclass(frozen=True)
class Reached:
    """A finished run: the rounds that were measured, the base first."""

    fit: Fit
    rounds: tuple[dict[str, Any], ...]

    @property
    def base(self) -> dict[str, Any]:
        return self.rounds[0]

    @property
    def last(self) -> dict[str, Any]:
        return self.rounds[-1]

    @property
    def gain(self) -> float:
        gain: float = self.last["accuracy"] - self.base["accuracy"]
        return gain

    @cached_property
    def by_prior(self) -> tuple[PriorErrors, ...]:
        """What the language prior did, a round."""
        prior = Prior(taught_with(self.fit))
        return tuple(
            prior_errors(self.fit.folder / "items" / f"round_{entry['round']:02d}.jsonl", prior)
            for entry in self.rounds
        )


def read_fits(fits: Sequence[Fit]) -> dict[str, list[Reached]]:
    """The finished runs by experiment."""
    found: dict[str, list[Reached]] = {}
    for fit in fits:
        if fit.results is not None:
            rounds = [entry for entry in json.loads(fit.results.read_text())["rounds"] if "accuracy" in entry]
            found.setdefault(fit.experiment, []).append(Reached(fit, tuple(rounds)))
    return found


def read_measurements(measurements: Sequence[Measurement]) -> dict[tuple[str, str], list[float]]:
    """Accuracies by (experiment, or "base"; set)."""
    found: dict[tuple[str, str], list[float]] = {}
    for one in measurements:
        if one.results is not None:
            accuracy = json.loads(one.results.read_text())["rounds"][-1]["accuracy"]
            found.setdefault(("base" if one.of_base else one.fit.experiment, one.set), []).append(accuracy)
    return found


@dataclass(frozen=True)
class PriorErrors:
    """Of the items whose language prior is wrong (the adversarial ones): how many, and what was chosen.

    driven: the prior's favourite, a wrong answer. right: the right option.
    """

    adversarial: int
    driven: int
    right: int


def prior_errors(items: Path, prior: Prior) -> PriorErrors:
    """From a round's items file."""
    chosen = []
    for line in items.read_text().splitlines():
        item = json.loads(line)
        favourite = prior.favourite(Query(item["task"], item["question"], "", values_of(item), ""))[0]
        if favourite != item["answer"]:
            chosen.append((item["choice"] == favourite, item["choice"] == item["answer"]))
    return PriorErrors(len(chosen), sum(driven for driven, _ in chosen), sum(right for _, right in chosen))


def values_of(item: dict[str, Any]) -> tuple[str, ...]:
    """Every well-formed answer to a question of the test set."""
    kinds = {"motion": DIRECTIONS, "order": COLORS, "change": CHANGES, "shape": SHAPES, "count": NUMBERS}
    return kinds.get(item["task"], PLACES if item["question"].startswith("where") else COLORS)


def taught_with(fit: Fit) -> int:
    """The seed that a base was taught with, by its card."""
    return int(re.findall(r"make base SEED=(\d+)", _card(fit))[0])


def advantage(fit: Fit) -> float:
    """How much more of a base's sampled answers are right after its revision, a share, by its card."""
    sampled, revised = re.findall(
        r"sampled answers right .*?\| ([\d.]+)%.*?\n\| \.\.\. after .*?\| ([\d.]+)%", _card(fit)
    )[0]
    return (float(revised) - float(sampled)) / 100


def _card(fit: Fit) -> str:
    folder = BASE if fit.base.path == "world" else Path(fit.base.path)
    return (folder / "README.md").read_text(encoding="utf-8")
