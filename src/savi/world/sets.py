"""Held-out sets of the world: what of their clips and questions no base and no training has seen.

dev: for every choice. test: opened to make tables. The others ask for generalization, in words that the base knows:
forms, the same questions worded otherwise; looks, paler colors, sizes and backgrounds beyond those of all other clips;
outside, both at once; compositional, questions that need two steps, such as the shape of what is right of the red one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Literal

from savi.types import derive_seed
from savi.world.questions import NUMBERS, Query, beside, queries
from savi.world.scenes import CHANGES, DIRECTIONS, PLACES, SHAPES, Scene, make_scene, scene_seed

HeldOutSet = Literal["dev", "test", "forms", "looks", "outside", "compositional"]

FORMS = (
    (r"which way does (.+) move \?", r"\1 moves which way ?"),
    (r"what happens to (.+) \?", r"to \1 happens what ?"),
    (r"what shape is (.+) \?", r"\1 is what shape ?"),
    (r"where is (.+) \?", r"\1 is where ?"),
    (r"which object is (.+) \?", r"\1 is which object ?"),
    (r"which object appears (.+) \?", r"\1 appears which object ?"),
    (r"how many (.+) are there \?", r"there are how many \1 ?"),
)
"""A question as it is taught, and its other form."""

PALE = 0.35
SIZES = ((0.075, 0.085), (0.125, 0.135))
BACKGROUNDS = ((10, 25), (90, 110))
"""Outside of what `make_scene` draws from, on either side."""


def scene_of(split: str, seed: int, index: int) -> Scene:
    """One scene of a split, "train" and "base" among them."""
    scene = make_scene(scene_seed(split, seed, index))
    return restyle(scene, Random(derive_seed("look", split, seed, index))) if split in ("looks", "outside") else scene


def questions_of(split: HeldOutSet, scene: Scene) -> list[Query]:
    """Everything that a split asks about a scene."""
    if split == "compositional":
        return list(_composed(scene))
    found = queries(scene)
    return [replace(query, text=reword(query.text)) for query in found] if split in ("forms", "outside") else found


def reword(text: str) -> str:
    """The other form of a question."""
    pattern, form = next((pattern, form) for pattern, form in FORMS if re.fullmatch(pattern, text))
    return re.sub(pattern, form, text)


def restyle(scene: Scene, random: Random) -> Scene:
    """The same scene with another look."""
    things = tuple(replace(thing, size=random.uniform(*random.choice(SIZES))) for thing in scene.things)
    return Scene(things, background=random.randint(*random.choice(BACKGROUNDS)), pale=PALE)


def _composed(scene: Scene) -> Iterator[Query]:
    """Questions in two steps: which object is meant, or where to look, and then what about it."""
    for place in ("top", "bottom", "left", "right"):
        if number := sum(place in thing.place.split() for thing in scene.things):
            claim = f"the number of objects at the {place} is {{}}"
            yield Query("count", f"how many objects are at the {place} ?", NUMBERS[number - 1], NUMBERS, claim)
    if len(scene.things) < 2:
        return
    named = [("the first object", scene.things[0]), ("the last object", scene.things[-1])]
    for when, thing in (("first", scene.things[0]), ("last", scene.things[-1])):
        yield Query("order", f"what shape appears {when} ?", thing.shape, SHAPES, f"a {{}} appears {when}")
        name = f"the {when} object"
        yield Query("spatial", f"where is {name} ?", thing.place, PLACES, f"{name} is at the {{}}")
    for thing in scene.things:
        named += [(f"the object {relation} the {thing.color} one", other) for relation, other in beside(scene, thing)]
    for name, thing in named:
        yield Query("motion", f"which way does {name} move ?", thing.direction, DIRECTIONS, f"{name} moves {{}}")
        yield Query("change", f"what happens to {name} ?", thing.change, CHANGES, f"{name} {{}}")
        yield Query("shape", f"what shape is {name} ?", thing.shape, SHAPES, f"{name} is a {{}}")
