"""Training clips hold no truth; the benchmark is balanced, and names errors as the paper does."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import fields
from pathlib import Path
from random import Random

import pytest

from savi.types import Clip
from savi.world.benchmark import HeldOutQuestion, choose, error, held_out
from savi.world.clips import training_clips
from savi.world.questions import KINDS, queries
from savi.world.scenes import Scene, make_scene
from tests.world.test_scenes import a_thing


@pytest.fixture(scope="module")
def items(tmp_path_factory: pytest.TempPathFactory) -> list[HeldOutQuestion]:
    return held_out(tmp_path_factory.mktemp("held_out"), clips=120, seed=0)


def test_training_sees_pixels_only(tmp_path: Path) -> None:
    clips = training_clips(tmp_path, 3, seed=0)
    assert [field.name for field in fields(Clip)] == ["id", "path"]
    assert [clip.id for clip in clips] == ["clip_00000", "clip_00001", "clip_00002"]
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {clip.path for clip in clips}
    assert all(clip.path.suffix == ".mp4" for clip in clips)


def test_clips_are_rendered_once(tmp_path: Path) -> None:
    first = training_clips(tmp_path, 2, seed=0)
    before = [clip.path.stat().st_mtime_ns for clip in first]
    again = training_clips(tmp_path, 3, seed=0)
    assert again[:2] == first
    assert [clip.path.stat().st_mtime_ns for clip in again[:2]] == before
    assert training_clips(tmp_path, 2, seed=1)[0].path != first[0].path


def test_the_same_seed_gives_the_same_benchmark(tmp_path: Path, items: list[HeldOutQuestion]) -> None:
    again = held_out(tmp_path, clips=20, seed=0)
    assert [(item.question, item.options, item.answer) for item in again] == [
        (item.question, item.options, item.answer) for item in items[:60]
    ]


def test_every_clip_has_three_questions_of_different_kinds(items: list[HeldOutQuestion]) -> None:
    kinds = defaultdict(set)
    for item in items:
        kinds[item.clip.id].add(item.task)
    assert len(items) == 360
    assert all(len(tasks) == 3 for tasks in kinds.values())
    assert Counter(item.task for item in items) == dict.fromkeys(KINDS, 60)
    assert len({item.id for item in items}) == 360


def test_options_hold_the_answer_once_at_any_place(items: list[HeldOutQuestion]) -> None:
    for item in items:
        assert len(set(item.options)) == 4
        assert set(item.options) <= set(item.replies)
        assert [not error for error in item.errors] == [index == item.answer for index in range(4)]
    places = Counter(item.answer for item in items)
    assert all(places[index] > 60 for index in range(4))


def test_no_constant_answer_and_no_text_gives_the_answer_away(items: list[HeldOutQuestion]) -> None:
    for kind in KINDS:
        answers = Counter(item.options[item.answer] for item in items if item.task == kind)
        assert max(answers.values()) <= 20
    by_text, asked = defaultdict(list), Counter[tuple[str, ...]]()
    for seed in range(1000):
        for query in choose(queries(make_scene(seed)), asked, Random(seed)):
            by_text[query.text].append(query.answer)
    guesses = sum(Counter(answers).most_common(1)[0][1] for answers in by_text.values())
    assert guesses / 3000 < 0.35  # 0.25 and the luck of picking each text's commonest answer afterwards


SCENE = Scene(
    (a_thing(color="blue", place="bottom left", shape="square"), a_thing(appears=7, direction="up")), background=40
)


@pytest.mark.parametrize(
    ("text", "option", "kind"),
    [
        ("which way does the red object move ?", "up", ""),
        ("which way does the red object move ?", "down", "temporal ordering"),
        ("which way does the red object move ?", "left", "factual inaccuracy"),
        ("what happens to the red object ?", "stays same", "detail omission"),
        ("what happens to the red object ?", "gets smaller", "temporal ordering"),
        ("what happens to the red object ?", "turns white", "factual inaccuracy"),
        ("what shape is the red object ?", "square", "factual inaccuracy"),
        ("what shape is the red object ?", "cross", "object hallucination"),
        ("how many objects are there ?", "one", "detail omission"),
        ("how many objects are there ?", "four", "object hallucination"),
        ("where is the red object ?", "top right", "spatial relationship"),
        ("which object is above the blue one ?", "blue", "spatial relationship"),
        ("which object is above the blue one ?", "cyan", "object hallucination"),
        ("which object appears first ?", "red", "temporal ordering"),
        ("which object appears first ?", "cyan", "object hallucination"),
    ],
)
def test_errors_have_the_papers_names(text: str, option: str, kind: str) -> None:
    (query,) = [query for query in queries(SCENE) if query.text == text]
    assert error(query, option, SCENE) == kind
