"""Scenes of the small world: up to four objects, each in a quarter of the picture of its own, for four seconds.

An object appears, moves one way through its quarter until the end, and late in the clip something may happen to it.
Everything that can be asked about a clip is decided here; `render` draws it, `questions` asks it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from random import Random

from savi.types import derive_seed

VERSION = 3
"""Bump it when scenes or their drawing change, or clips rendered earlier would be taken for today's."""

FRAMES = 48
FPS = Fraction(12000, 1001)
"""Not 12: a visual token's temporal position is its time, rounded down, and would lie on the edge."""

COLORS = ("red", "green", "blue", "yellow", "purple", "cyan")
SHAPES = ("circle", "square", "triangle", "cross")
DIRECTIONS = ("left", "right", "up", "down")
PLACES = ("top left", "top right", "bottom left", "bottom right")
CHANGES = ("gets bigger", "gets smaller", "turns white", "stays same")

# An object can appear in any of these frames, a few frames late at most, so that two never appear together.
APPEARANCES = (0, 7, 14, 21)
APPEARANCE_JITTER = 2
CHANGE_FRAMES = (30, 38)
TRAVEL = 0.2
"""How far an object moves between its appearance and the end, in widths of the picture."""
BIGGER, SMALLER = 1.6, 0.5
"""What an object's radius is multiplied by where it gets bigger or smaller."""


@dataclass(frozen=True)
class Thing:
    """One object. Colors differ within a scene, so a color names an object.

    place: its quarter of the picture. appears, changes: frames. size: radius before the change; offset: of its path's
    middle from the middle of its quarter, right and down; travel: length of its path. All in widths of the picture.
    """

    color: str
    shape: str
    place: str
    direction: str
    change: str
    appears: int
    changes: int
    size: float
    offset: tuple[float, float]
    travel: float = TRAVEL


@dataclass(frozen=True)
class Scene:
    """things: in the order they appear. background: grey level, 0 to 255. pale: share of grey in every color."""

    things: tuple[Thing, ...]
    background: int
    pale: float = 0.0


def make_scene(seed: int) -> Scene:
    """The scene of this seed. Every property is drawn apart from the others, so no answer gives away another."""
    random = Random(seed)
    count = random.choices((1, 2, 3, 4), weights=(3, 5, 6, 6))[0]
    colors = random.sample(COLORS, count)
    places = random.sample(PLACES, count)
    # Half of the scenes lean to one shape, or four circles would hardly ever be there to be counted.
    favoured = random.choice(SHAPES) if random.random() < 0.5 else None
    starts = sorted(random.sample(APPEARANCES, count))
    things = tuple(
        Thing(
            color=color,
            shape=favoured if favoured and random.random() < 0.8 else random.choice(SHAPES),
            place=place,
            direction=random.choice(DIRECTIONS),
            change=random.choice(CHANGES),
            appears=start + random.randint(0, APPEARANCE_JITTER),
            changes=random.randint(*CHANGE_FRAMES),
            size=random.uniform(0.095, 0.115),
            offset=(random.uniform(-0.025, 0.025), random.uniform(-0.025, 0.025)),
        )
        for color, place, start in zip(colors, places, starts, strict=True)
    )
    return Scene(things, background=random.randint(40, 70))


def scene_seed(split: str, seed: int, index: int) -> int:
    """The seed of one scene. Splits ("base", "train", "dev", "test", ...) never share a stream."""
    return derive_seed("world", split, seed, index)
