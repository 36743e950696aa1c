"""The questions about a scene: every valid one with its true answer, in the words of the small world."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from savi.types import Aspect
from savi.world.scenes import CHANGES, COLORS, DIRECTIONS, PLACES, SHAPES, Scene, Thing

Kind = Literal["motion", "order", "change", "shape", "count", "spatial"]
KINDS: dict[Kind, Aspect] = {
    "motion": "temporal",
    "order": "temporal",
    "change": "temporal",
    "shape": "spatial",
    "count": "spatial",
    "spatial": "spatial",
}
NUMBERS = ("one", "two", "three", "four")

# The neighbors of a place: {"top left": {"right of": "top right", "above": ...}}, read "above: what is above it".
_FLIP = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
_TOWARDS = {"left": "left of", "right": "right of", "top": "above", "bottom": "below"}


@dataclass(frozen=True)
class Query:
    """One question about a scene.

    answer: the true one. values: every well-formed answer. claim: a sentence that states an answer, with {} for it.
    """

    kind: Kind
    text: str
    answer: str
    values: tuple[str, ...]
    claim: str

    @property
    def aspect(self) -> Aspect:
        """Which of the two question prompts asks for this."""
        return KINDS[self.kind]


def queries(scene: Scene) -> list[Query]:
    """Every question that has one clear answer in this scene. A text appears once."""
    found = list(_count(scene))
    for thing in scene.things:
        found += _about(thing)
        found += _beside(scene, thing)
    return found + list(_order(scene))


def _about(thing: Thing) -> Iterator[Query]:
    """What one object tells by itself."""
    name = f"the {thing.color} object"
    yield Query("motion", f"which way does {name} move ?", thing.direction, DIRECTIONS, f"{name} moves {{}}")
    yield Query("change", f"what happens to {name} ?", thing.change, CHANGES, f"{name} {{}}")
    yield Query("shape", f"what shape is {name} ?", thing.shape, SHAPES, f"{name} is a {{}}")
    yield Query("spatial", f"where is {name} ?", thing.place, PLACES, f"{name} is at the {{}}")


def beside(scene: Scene, thing: Thing) -> Iterator[tuple[str, Thing]]:
    """What is left or right of an object, above or below it, and how: ("right of", the other object)."""
    row, column = thing.place.split()
    for here, place in ((column, f"{row} {_FLIP[column]}"), (row, f"{_FLIP[row]} {column}")):
        for other in scene.things:
            if other.place == place:
                yield _TOWARDS[_FLIP[here]], other


def _beside(scene: Scene, thing: Thing) -> Iterator[Query]:
    for relation, other in beside(scene, thing):
        text = f"which object is {relation} the {thing.color} one ?"
        yield Query("spatial", text, other.color, COLORS, f"the {{}} object is {relation} the {thing.color} one")


def _count(scene: Scene) -> Iterator[Query]:
    """How many objects there are, and how many of each shape that is there."""
    for shape in (None, *SHAPES):
        number = sum(shape in (None, thing.shape) for thing in scene.things)
        if number:
            noun = "objects" if shape is None else "crosses" if shape == "cross" else f"{shape}s"
            text, claim = f"how many {noun} are there ?", f"the number of {noun} is {{}}"
            yield Query("count", text, NUMBERS[number - 1], NUMBERS, claim)


def _order(scene: Scene) -> Iterator[Query]:
    """Which object appears first, last, or next after another."""
    colors = [thing.color for thing in scene.things]
    if len(colors) < 2:
        return
    for when, color in (("first", colors[0]), ("last", colors[-1])):
        yield Query("order", f"which object appears {when} ?", color, COLORS, f"the {{}} object appears {when}")
    for earlier, color in pairwise(colors):
        text = f"which object appears right after the {earlier} one ?"
        claim = f"the {{}} object appears right after the {earlier} one"
        yield Query("order", text, color, COLORS, claim)


def criticism(query: Query, evidence: str, answer: str) -> str:
    """A critique: the evidence (an answer's claim) first, then the verdict that follows from it."""
    verdict = "correct" if answer == evidence else "wrong"
    return f"{query.claim.format(evidence)} , so {answer} is {verdict}"
