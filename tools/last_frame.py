"""`python -m tools.last_frame`: how far a single frame gets on questions about motion and change.

The reader is better than any model: it is told where the object in question is in that one frame, how large and how
white it is, and has seen many other objects of the same set with the answers. It answers as the most similar of these.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from savi.world.render import SIZE, centre, changed, radius
from savi.world.scenes import FRAMES, Thing
from savi.world.sets import HeldOutSet, scene_of

FRAME: dict[str, Callable[[Thing], int]] = {"first": lambda thing: thing.appears, "last": lambda thing: FRAMES - 1}
"""The frame that is read, by name; the first one is that in which the object appears."""


def look(thing: Thing, index: int) -> tuple[float, ...]:
    """How far an object is from the middle of its quarter, its radius, and how white it is, in one frame."""
    row, column = thing.place.split()
    x, y = centre(thing, index)
    white = changed(thing, index) if thing.change == "turns white" else 0.0
    middle = (0.25 if column == "left" else 0.75), (0.25 if row == "top" else 0.75)
    return x / SIZE - middle[0], y / SIZE - middle[1], radius(thing, index) / SIZE, white


def accuracy(split: HeldOutSet, frame: str, scenes: int) -> dict[str, float]:
    """Share of right answers by kind, about each object of `scenes` scenes; as many others are known."""
    asked, known = (things(split, seed, scenes) for seed in (0, 1))
    looks = [look(thing, FRAME[frame](thing)) for thing in known]
    said = [known[nearest(look(thing, FRAME[frame](thing)), looks)] for thing in asked]
    pairs = list(zip(asked, said, strict=True))
    return {
        "motion": sum(one.direction == other.direction for one, other in pairs) / len(pairs),
        "change": sum(one.change == other.change for one, other in pairs) / len(pairs),
    }


def things(split: HeldOutSet, seed: int, scenes: int) -> list[Thing]:
    """The objects of the first scenes of a set."""
    return [thing for index in range(scenes) for thing in scene_of(split, seed, index).things]


def nearest(here: Sequence[float], looks: Sequence[Sequence[float]]) -> int:
    """Index of the most similar look."""
    return min(range(len(looks)), key=lambda at: sum((a - b) ** 2 for a, b in zip(here, looks[at], strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.last_frame", description=__doc__)
    parser.add_argument("--scenes", type=int, default=400, help="scenes whose objects are asked about")
    scenes = parser.parse_args().scenes
    sets: tuple[HeldOutSet, ...] = ("test", "paths")
    for split in sets:
        for frame in FRAME:
            shares = ", ".join(f"{kind} {share:.1%}" for kind, share in accuracy(split, frame, scenes).items())
            print(f"{split}, {frame} frame alone: {shares}")


if __name__ == "__main__":
    main()
