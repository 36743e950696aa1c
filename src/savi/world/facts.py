"""What is so in a scene and can be asked about: every fact with its true answer, in no words yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
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

Topic = Literal[
    "motion", "change", "shape", "place", "next to", "count", "count at", "appears", "after", "appearing shape"
]
"""What a question asks for. Each wording has phrases for each topic."""

# The neighbors of a place: {"top left": {"right of": "top right", "above": ...}}, read "above: what is above it".
_FLIP = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
_TOWARDS = {"left": "left of", "right": "right of", "top": "above", "bottom": "below"}


@dataclass(frozen=True)
class Fact:
    """Something that is so in a scene.

    answer: the true one of `values`. named: how the object in question is named, by its "color", by "when" it appears
    or by its "relation" to another one; "" where no object is named. fields: what fills a wording's phrases.
    shown: the objects that decide the answer.
    """

    kind: Kind
    topic: Topic
    answer: str
    values: tuple[str, ...]
    shown: tuple[Thing, ...]
    named: Literal["color", "when", "relation", ""] = ""
    fields: dict[str, str] = field(default_factory=dict)


def facts(scene: Scene) -> list[Fact]:
    """Every fact of a scene that has one clear answer."""
    found = list(_count(scene))
    for thing in scene.things:
        found += _about(thing, "color", {"color": thing.color}, ("motion", "change", "shape", "place"))
        for relation, other in neighbors(scene, thing):
            fields = {"relation": relation, "color": thing.color}
            found.append(Fact("spatial", "next to", other.color, COLORS, (thing, other), fields=fields))
    return found + list(_order(scene))


def facts_in_two_steps(scene: Scene) -> Iterator[Fact]:
    """Facts in two steps: which object is meant, or where to look, and then what about it."""
    for place in ("top", "bottom", "left", "right"):
        if number := sum(place in thing.place.split() for thing in scene.things):
            answer = NUMBERS[number - 1]
            yield Fact("count", "count at", answer, NUMBERS, scene.things, fields={"place": place})
    if len(scene.things) < 2:
        return
    first, last = scene.things[0], scene.things[-1]
    named = [("when", {"when": "first"}, first), ("when", {"when": "last"}, last)]
    for when, thing in (("first", first), ("last", last)):
        yield Fact("order", "appearing shape", thing.shape, SHAPES, scene.things, fields={"when": when})
        yield from _about(thing, "when", {"when": when}, ("place",))
    for thing in scene.things:
        for relation, other in neighbors(scene, thing):
            named.append(("relation", {"relation": relation, "color": thing.color}, other))
    for name, fields, thing in named:
        yield from _about(thing, "when" if name == "when" else "relation", fields, ("motion", "change", "shape"))


def _about(
    thing: Thing, named: Literal["color", "when", "relation"], fields: dict[str, str], topics: tuple[Topic, ...]
) -> Iterator[Fact]:
    """What one object tells by itself."""
    of_thing: dict[Topic, Fact] = {
        "motion": Fact("motion", "motion", thing.direction, DIRECTIONS, (thing,), named, fields),
        "change": Fact("change", "change", thing.change, CHANGES, (thing,), named, fields),
        "shape": Fact("shape", "shape", thing.shape, SHAPES, (thing,), named, fields),
        "place": Fact("spatial", "place", thing.place, PLACES, (thing,), named, fields),
    }
    return (of_thing[topic] for topic in topics)


def neighbors(scene: Scene, thing: Thing) -> Iterator[tuple[str, Thing]]:
    """What is left or right of an object, above or below it, and how: ("right of", the other object)."""
    row, column = thing.place.split()
    for here, place in ((column, f"{row} {_FLIP[column]}"), (row, f"{_FLIP[row]} {column}")):
        for other in scene.things:
            if other.place == place:
                yield _TOWARDS[_FLIP[here]], other


def _count(scene: Scene) -> Iterator[Fact]:
    """How many objects there are, and how many of each shape that is there."""
    for shape in (None, *SHAPES):
        number = sum(shape in (None, thing.shape) for thing in scene.things)
        if number:
            noun = "objects" if shape is None else "crosses" if shape == "cross" else f"{shape}s"
            yield Fact("count", "count", NUMBERS[number - 1], NUMBERS, scene.things, fields={"noun": noun})


def _order(scene: Scene) -> Iterator[Fact]:
    """Which object appears first, last, or next after another."""
    colors = [thing.color for thing in scene.things]
    if len(colors) < 2:
        return
    for when, color in (("first", colors[0]), ("last", colors[-1])):
        yield Fact("order", "appears", color, COLORS, scene.things, fields={"when": when})
    for earlier, color in pairwise(colors):
        yield Fact("order", "after", color, COLORS, scene.things, fields={"color": earlier})
