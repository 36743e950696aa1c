"""Two wordings of one world: the miniature's words are as they were, natural English reads back what it says."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from savi.errors import SaviError
from savi.prompts.critiques import parse_critique
from savi.prompts.questions import parse_questions
from savi.training.datamodule import ClipDataModule
from savi.types import Clip
from savi.world import benchmark
from savi.world.benchmark import held_out
from savi.world.natural import NATURAL
from savi.world.oracle import true_critique
from savi.world.questions import queries
from savi.world.scenes import VERSION, Scene, make_scene
from savi.world.sets import questions_of, scene_of
from savi.world.wording import MINIATURE, Query
from tests.world.test_scenes import a_thing

SCENE = Scene(
    (
        a_thing(color="blue", place="bottom left", direction="up", change="turns white"),
        a_thing(color="red", place="top left", shape="square", appears=7, change="stays same"),
    ),
    background=40,
)


def natural(text: str, scene: Scene = SCENE) -> Query:
    (query,) = [query for query in queries(scene, NATURAL) if query.text == text]
    return query


def test_the_miniatures_texts_are_those_that_its_base_was_taught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The digest is that of the texts from before the world had another wording."""
    monkeypatch.setattr(benchmark, "clip", lambda *place: place)
    said = hashlib.sha256()
    for split in ("dev", "test", "forms", "looks", "outside", "compositional"):
        for item in held_out(Path("x"), 30, 0, split):  # type: ignore[arg-type]  # of names
            said.update(repr((item.id, item.task, item.question, item.options, item.answer)).encode())
            said.update(repr((item.errors, item.replies)).encode())
    for seed in range(60):
        for query in queries(make_scene(seed)):
            said.update(repr((query.kind, query.text, query.answer, query.values, query.claim)).encode())
            said.update(MINIATURE.criticism(query, query.values[0], query.values[1]).encode())
        said.update(MINIATURE.caption(make_scene(seed)).encode())
    assert said.hexdigest() == "ff553bd750d0cafece537e33e25e14e690f3f365934c8fde6055c8ad1ca460ff"


@pytest.mark.parametrize("split", ["dev", "forms", "compositional"])
def test_every_natural_answer_is_read_back_in_each_of_its_phrasings(split: str) -> None:
    for index in range(25):
        for query in questions_of(split, scene_of(split, 0, index), NATURAL):  # type: ignore[arg-type]  # of names
            for claim in query.claims:
                for value in query.values:
                    said = NATURAL.reply(replace(query, claim=claim), value)
                    assert NATURAL.read(query, said) == value, (query.text, said)


def test_natural_questions_say_the_same_as_the_miniatures_in_several_phrasings() -> None:
    for seed in range(40):
        worded = queries(make_scene(seed), NATURAL)
        assert len({query.text for query in worded}) == len(worded)
        facts = {(query.kind, query.answer, query.claims) for query in worded}
        assert len(facts) == len(queries(make_scene(seed)))
        assert len(worded) >= 2 * len(facts)
        held_out_forms = {query.text for query in questions_of("forms", make_scene(seed), NATURAL)}
        assert len(held_out_forms) == len(facts)
        assert not held_out_forms & {query.text for query in worded}


@pytest.mark.parametrize(
    ("question", "reply", "value"),
    [
        ("Which way does the blue object move?", "It moves upwards.", "up"),
        ("Which way does the blue object move?", "From the left to the right.", "right"),
        ("Which way does the blue object move?", "It moves left, then right.", None),
        ("Which way does the blue object move?", "It turns white.", None),
        ("How does the blue object change?", "The blue object grows larger.", "gets bigger"),
        ("How does the blue object change?", "It does not change.", "stays same"),
        ("In which corner is the blue object?", "In the lower-left corner", "bottom left"),
        ("What is the number of squares?", "There is 1 square.", "one"),
        ("Which object is above the blue one?", "The red one is above the blue one.", "red"),
        ("Which object is above the blue one?", "blue", "blue"),
        ("Which object appears right after the blue one?", "The object after the blue one is green.", "green"),
        ("What shape is the red object?", "two crosses", "cross"),
    ],
)
def test_replies_that_nobody_phrased_are_read_by_their_key_words(question: str, reply: str, value: str | None) -> None:
    assert NATURAL.read(natural(question), reply) == value


def test_a_natural_critic_describes_before_it_judges() -> None:
    query = natural("Which way does the blue object move?")
    right, wrong = (NATURAL.criticism(query, "up", said) for said in ("It goes upwards.", "It moves down."))
    seen = "The blue object is a circle at the bottom left. It moves up and turns white."
    assert right == f"{seen} The blue object moves up. The proposed answer is right."
    assert wrong == f"{seen} The blue object moves up. The proposed answer is wrong."


def test_the_chain_reads_every_natural_question_and_critique() -> None:
    random = Random(0)
    for query in {one.text: one for seed in range(60) for one in queries(make_scene(seed), NATURAL)}.values():
        assert parse_questions(query.text) == [query.text]
        critique = NATURAL.criticism(query, query.answer, NATURAL.reply(query, query.values[0]), random)
        assert parse_critique(critique) == critique


def test_the_truth_criticizes_in_the_wording_of_the_question() -> None:
    clip = Clip("clip_00003", Path(f"train-v{VERSION}-0/clip_00003.mp4"))
    color = scene_of("train", 0, 3).things[0].color
    assert str(true_critique(clip, f"what shape is the {color} object ?", "cross")).startswith(f"the {color} object is")
    natural = true_critique(clip, f"What shape is the {color} object?", "It is a cross.")
    assert str(natural).startswith(f"The {color} object is")


def test_held_out_questions_in_natural_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmark, "clip", lambda *place: place)
    items = held_out(Path("x"), 20, 0, "dev", "natural")
    assert [item.task for item in items[:30]] != []
    for item in items:
        right = item.options[item.answer]
        assert right.endswith(".")
        assert set(item.options) <= set(item.replies)
        assert item.read(right) == right
        assert item.read(f"Well, {right.lower()}") == right
        assert item.key.split()[-1] in right
        assert [not error for error in item.errors] == [index == item.answer for index in range(4)]


def test_a_wording_without_a_question_about_the_world_is_refused() -> None:
    with pytest.raises(SaviError, match=r"data\.wording is of questions about the rendered world"):
        ClipDataModule(clips="videos", benchmark=None, wording="natural")
    ClipDataModule(clips="videos", benchmark=None, labelled="world", wording="natural")
