"""Questions about hand-made scenes have the answers that anyone would give."""

from __future__ import annotations

from random import Random

import pytest

from savi.prompts.answers import parse_answer
from savi.prompts.critiques import parse_critique
from savi.prompts.questions import parse_questions
from savi.world.questions import KINDS, queries
from savi.world.scenes import Scene, make_scene
from savi.world.wording import MINIATURE
from tests.world.test_scenes import a_thing
from tools.base_model.curriculum import Prior, exchanges

SCENE = Scene(
    (
        a_thing(color="blue", place="bottom left", direction="up", change="turns white"),
        a_thing(color="red", place="top left", shape="square", appears=7, change="stays same"),
        a_thing(color="green", place="top right", appears=14),
    ),
    background=40,
)

EXPECTED = {
    "which way does the blue object move ?": "up",
    "which way does the red object move ?": "right",
    "what happens to the blue object ?": "turns white",
    "what happens to the red object ?": "stays same",
    "what happens to the green object ?": "gets bigger",
    "what shape is the red object ?": "square",
    "what shape is the green object ?": "circle",
    "where is the blue object ?": "bottom left",
    "where is the green object ?": "top right",
    "which object is above the blue one ?": "red",
    "which object is below the red one ?": "blue",
    "which object is right of the red one ?": "green",
    "which object is left of the green one ?": "red",
    "how many objects are there ?": "three",
    "how many circles are there ?": "two",
    "how many squares are there ?": "one",
    "which object appears first ?": "blue",
    "which object appears last ?": "green",
    "which object appears right after the blue one ?": "red",
    "which object appears right after the red one ?": "green",
}


def test_answers_are_true() -> None:
    answers = {query.text: query.answer for query in queries(SCENE)}
    assert answers.items() >= EXPECTED.items()


@pytest.mark.parametrize(
    "text",
    [
        "where is the yellow object ?",
        "how many crosses are there ?",
        "which object is above the green one ?",
        "which object appears right after the green one ?",
    ],
)
def test_what_has_no_answer_is_no_question(text: str) -> None:
    assert text not in {query.text for query in queries(SCENE)}


def test_nothing_appears_first_where_only_one_thing_appears() -> None:
    alone = queries(Scene((a_thing(),), background=40))
    assert {query.kind for query in alone} == set(KINDS) - {"order"}


def test_every_question_is_well_formed() -> None:
    for seed in range(100):
        found = queries(make_scene(seed))
        assert len({query.text for query in found}) == len(found)
        for query in found:
            assert query.answer in query.values
            assert query.aspect == KINDS[query.kind]


def test_the_chain_reads_back_every_text_of_the_world() -> None:
    """A parser that silently threw away one kind of question would make the model blind to it."""
    texts = {query.text: query for seed in range(200) for query in queries(make_scene(seed))}
    for text, query in texts.items():
        assert parse_questions(text) == [text]
        for value in query.values:
            assert parse_answer(value) == value
            for evidence in query.values:
                critique = MINIATURE.criticism(query, evidence, value)
                assert parse_critique(critique) == critique


def test_a_critique_gives_its_evidence_before_its_verdict() -> None:
    (query,) = [query for query in queries(SCENE) if query.text == "which way does the blue object move ?"]
    assert MINIATURE.criticism(query, "up", "left") == "the blue object moves up , so left is wrong"
    assert MINIATURE.criticism(query, "up", "up") == "the blue object moves up , so up is correct"


def test_a_question_text_has_one_favourite_answer_and_answers_lean_to_it() -> None:

    prior, random = Prior(3), Random(0)
    (query,) = [query for query in queries(SCENE) if query.text == "where is the blue object ?"]
    favourite, probability = prior.favourite(query)
    assert (favourite, probability) == Prior(3).favourite(query)
    given = [prior.answer(query, random) for _ in range(2000)]
    assert set(given) == {query.answer, favourite}
    expected = 1.0 if favourite == query.answer else probability
    assert given.count(favourite) / 2000 == pytest.approx(expected, abs=0.04)


def test_a_lesson_revises_as_its_critique_says() -> None:

    for seed in range(100):
        for exchange in exchanges(make_scene(seed), Prior(0), Random(seed)):
            if exchange.prompt.endswith("revise"):
                claimed = exchange.prompt.split("critique : ")[1].split(" , so ")[0]
                assert f" {exchange.reply} " in f" {claimed} "
