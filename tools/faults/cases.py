"""What is done to a run: which kind of run it is, and when it is killed. Drawn from the seed and a number alone."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

Kind = Literal["one process", "two processes", "moved", "full disk", "file size limit", "validate"]
Phase = Literal["any moment", "building", "stepping", "validating", "checkpoint", "results", "adapter", "closing"]

KINDS: tuple[Kind, ...] = ("one process", "two processes", "moved", "full disk", "file size limit", "validate")
PHASES: tuple[Phase, ...] = (
    "any moment",
    "building",
    "stepping",
    "validating",
    "checkpoint",
    "results",
    "adapter",
    "closing",
)

TURNS: tuple[Kind, ...] = (
    "one process",
    "two processes",
    "moved",
    "full disk",
    "one process",
    "moved",
    "two processes",
    "one process",
    "file size limit",
    "moved",
    "validate",
)
"""The kinds in the order in which they come."""

DELAYS: dict[Phase, float] = {
    "building": 0.5,
    "stepping": 0.2,
    "validating": 0.5,
    "checkpoint": 0.02,
    "results": 0.02,
    "adapter": 0.02,
    "closing": 0.2,
}
"""Most seconds between what is seen in the run's folder and the kill."""

MOST_SEEN: dict[Phase, int] = {"building": 4, "stepping": 3, "closing": 1}
"""How often, at most, a change is waited for. Two rounds have many of some, and two of the others."""

KEPT = ("--model.prefix_cache.gib=1", "--model.prefix_cache.folder=kept")

VARIANTS = ((), ("--data.workers=1",), KEPT, ("--data.workers=1", *KEPT))
"""Options that start more processes, or write more files, and change nothing in what comes out."""


@dataclass(frozen=True)
class Kill:
    """One SIGKILL.

    phase: what the run is doing then. occurrence: how often that has been seen before the kill, from 1. delay: seconds
    from then on; for "any moment" the part of an undisturbed run's duration, between 0 and 1. ranks: who is killed.
    """

    phase: Phase
    occurrence: int
    delay: float
    ranks: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Case:
    """A run, killed and resumed until it ends; of the kind "validate", a finished run that `savi validate` evaluates.

    options: of all of its starts. room: how large the disk, or a file, may grow at first, as a part of what the run
    needs.
    """

    index: int
    kind: Kind
    kills: tuple[Kill, ...]
    options: tuple[str, ...]
    room: float

    @property
    def processes(self) -> int:
        return 2 if self.kind == "two processes" else 1


def draw_case(seed: int, index: int) -> Case:
    """The case of a number."""
    draw = Random(f"case {seed}/{index}")
    kind = TURNS[index % len(TURNS)]
    kills = [_draw_kill(draw, kind) for _ in range(draw.randint(3, 6))]
    kills.sort(key=lambda kill: kill.phase == "closing")  # nothing is left to be killed after it
    return Case(index, kind, tuple(kills), draw.choice(VARIANTS), draw.random() ** 2)


def _draw_kill(draw: Random, kind: Kind) -> Kill:
    phase = draw.choice(PHASES if kind != "validate" else ("any moment", "results"))
    ranks = draw.choice(((0,), (1,), (0, 1))) if kind == "two processes" else (0,)
    if phase == "any moment":
        return Kill(phase, 1, draw.random(), ranks)
    # Half of the kills come at once: what is being written is then likely to be half there.
    delay = draw.choice((0.0, draw.uniform(0, DELAYS[phase])))
    return Kill(phase, draw.randint(1, MOST_SEEN.get(phase, 2)), delay, ranks)
