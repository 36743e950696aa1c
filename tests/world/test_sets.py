"""Held-out sets: the same truth in other words and other looks, and questions in two steps."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from savi.world.benchmark import held_out
from savi.world.questions import KINDS, queries
from savi.world.render import RGB, SIZE, centre, draw, radius
from savi.world.scenes import FRAMES, Scene, make_scene
from savi.world.sets import questions_of, restyle, scene_of
from tests.world.test_scenes import a_thing
from tools.base_model.curriculum import words
from tools.last_frame import accuracy, things

SETS = ("dev", "test", "forms", "looks", "outside", "compositional", "paths")


@pytest.mark.parametrize("split", SETS)
def test_every_set_asks_all_kinds_in_words_that_the_base_knows(split: str) -> None:
    known, kinds = set(words()), Counter[str]()
    for index in range(100):
        for query in questions_of(split, scene_of(split, 0, index)):  # type: ignore[arg-type]  # of names
            kinds[query.kind] += 1
            assert set(query.text.split()) <= known
            assert query.answer in query.values
    asked = {kind for kind, aspect in KINDS.items() if split != "paths" or aspect == "temporal"}
    assert kinds.keys() == asked


def test_other_forms_ask_for_the_same() -> None:
    scenes = [make_scene(seed) for seed in range(300)]
    pairs = [(a, b) for s in scenes for a, b in zip(queries(s), questions_of("forms", s), strict=True)]
    other = {taught.text: worded.text for taught, worded in pairs}
    assert other["which way does the red object move ?"] == "the red object moves which way ?"
    assert other["which object appears right after the red one ?"] == "right after the red one appears which object ?"
    assert other["how many crosses are there ?"] == "there are how many crosses ?"
    assert len(set(other.values())) == len(other)
    assert not set(other.values()) & other.keys()
    assert all(taught.answer == worded.answer for taught, worded in pairs)


def test_other_looks_lie_outside_of_what_was_seen() -> None:
    seen = [make_scene(seed) for seed in range(300)]
    sizes = [thing.size for scene in seen for thing in scene.things]
    greys = [scene.background for scene in seen]
    for index in range(50):
        scene = scene_of("looks", 0, index)
        assert scene.pale > 0
        assert not min(greys) <= scene.background <= max(greys)
        assert not any(min(sizes) <= thing.size <= max(sizes) for thing in scene.things)


def test_a_pale_colour_is_mixed_with_grey() -> None:
    scene = Scene((a_thing(color="red", shape="square", change="stays same"),), background=50, pale=0.5)
    pixels = draw(scene)[-1].reshape(-1, 3)
    expected = (np.array(RGB["red"]) + 128) / 2
    assert (np.abs(pixels - expected).max(1) <= 1).any()
    assert not (np.abs(pixels - np.array(RGB["red"])).max(1) <= 1).any()


def test_a_look_changes_no_answer() -> None:
    from random import Random

    scene = make_scene(7)
    assert [q.answer for q in queries(restyle(scene, Random(0)))] == [q.answer for q in queries(scene)]


def test_questions_in_two_steps_by_hand() -> None:
    first = a_thing(color="red", place="top left", shape="circle", direction="up", change="stays same")
    second = a_thing(color="blue", place="top right", shape="cross", direction="left", change="gets bigger", appears=14)
    answers = {q.text: q.answer for q in questions_of("compositional", Scene((first, second), background=50))}
    assert answers["which way does the object right of the red one move ?"] == "left"
    assert answers["what happens to the object left of the blue one ?"] == "stays same"
    assert answers["what shape appears last ?"] == "cross"
    assert answers["what shape is the first object ?"] == "circle"
    assert answers["where is the last object ?"] == "top right"
    assert answers["how many objects are at the top ?"] == "two"
    assert answers["how many objects are at the left ?"] == "one"
    assert "how many objects are at the bottom ?" not in answers


def test_the_last_frame_gives_away_no_path() -> None:
    """A reader who is told all of an object in its last frame knows everything on other sets, and nothing here."""
    assert set(accuracy("test", "last", 60).values()) == {1.0}
    blind = accuracy("paths", "last", 60)
    assert blind["motion"] < 0.4  # 0.25 and chance
    assert blind["change"] < 0.48  # a third, as none turns white


def test_objects_of_the_paths_stay_in_the_picture_and_in_their_quarter_at_the_end() -> None:
    for thing in things("paths", 0, 60):
        row, column = thing.place.split()
        x, y = centre(thing, FRAMES - 1)
        assert abs(x / SIZE - (0.25 if column == "left" else 0.75)) <= 0.03
        assert abs(y / SIZE - (0.25 if row == "top" else 0.75)) <= 0.03
        assert 0.065 < radius(thing, FRAMES - 1) / SIZE < 0.08
        start = centre(thing, thing.appears)
        assert all(0 < value < SIZE for value in start)
        moved = (x - start[0], y - start[1])
        way = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}[thing.direction]
        assert moved == pytest.approx([0.15 * SIZE * part for part in way], abs=1e-6)


def test_sets_share_no_scene(tmp_path: Path) -> None:
    scenes = [scene_of(split, 0, index).things for split in (*SETS, "train", "base") for index in range(30)]
    assert len(set(scenes)) == len(scenes)
    ids = [item.id for split in ("dev", "compositional") for item in held_out(tmp_path, 2, 0, split)]  # type: ignore[arg-type]  # of names
    assert len(set(ids)) == len(ids)
