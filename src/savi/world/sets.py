"""Held-out sets of the world: what of their clips and questions no base and no training has seen.

dev: for every choice. test: opened to make tables. The others ask for generalization, in words that the base knows:
forms, the same questions worded otherwise; looks, paler colors, sizes and backgrounds beyond those of all other clips;
outside, both at once; compositional, questions that need two steps, such as the shape of what is right of the red one;
paths, motions, changes and orders that no last frame gives away.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Literal

from savi.types import derive_seed
from savi.world.facts import KINDS, facts, facts_in_two_steps
from savi.world.scenes import BIGGER, CHANGES, SMALLER, Scene, Thing, make_scene, scene_seed
from savi.world.wording import MINIATURE, Query, Wording

HeldOutSet = Literal["dev", "test", "forms", "looks", "outside", "compositional", "paths"]

PALE = 0.35
SIZES = ((0.075, 0.085), (0.125, 0.135))
BACKGROUNDS = ((10, 25), (90, 110))
"""Outside of what `make_scene` draws from, on either side."""

PATH = 0.15
"""How far an object moves in the set `paths`: it stays where objects of other sets are seen, too."""
END_SIZES = (0.068, 0.076)
"""The radius that each object of the set `paths` ends with."""


def scene_of(split: str, seed: int, index: int) -> Scene:
    """One scene of a split, "train" and "base" among them."""
    scene = make_scene(scene_seed(split, seed, index))
    if split == "paths":
        return hide_ends(scene, Random(derive_seed("path", split, seed, index)))
    return restyle(scene, Random(derive_seed("look", split, seed, index))) if split in ("looks", "outside") else scene


def questions_of(split: HeldOutSet, scene: Scene, wording: Wording = MINIATURE) -> list[Query]:
    """Everything that a split asks about a scene."""
    if split == "compositional":
        return wording.questions(facts_in_two_steps(scene))
    if split == "paths":
        return wording.questions(fact for fact in facts(scene) if KINDS[fact.kind] == "temporal")
    return wording.questions(facts(scene), held_out=split in ("forms", "outside"))


def restyle(scene: Scene, random: Random) -> Scene:
    """The same scene with another look."""
    things = tuple(replace(thing, size=random.uniform(*random.choice(SIZES))) for thing in scene.things)
    return Scene(things, background=random.randint(*random.choice(BACKGROUNDS)), pale=PALE)


def hide_ends(scene: Scene, random: Random) -> Scene:
    """The same scene, with ends that tell nothing: each object ends in the middle of its quarter and at one size,
    wherever it came from and however large it was. None turns white, as that can be seen at the end."""
    return replace(scene, things=tuple(_hide_end(thing, random) for thing in scene.things))


def _hide_end(thing: Thing, random: Random) -> Thing:
    change = thing.change if thing.change != "turns white" else random.choice([c for c in CHANGES if c != thing.change])
    back = {"left": (0.5, 0.0), "right": (-0.5, 0.0), "up": (0.0, 0.5), "down": (0.0, -0.5)}[thing.direction]
    return replace(
        thing,
        change=change,
        size=random.uniform(*END_SIZES) / {"gets bigger": BIGGER, "gets smaller": SMALLER}.get(change, 1.0),
        offset=(thing.offset[0] + back[0] * PATH, thing.offset[1] + back[1] * PATH),
        travel=PATH,
    )
