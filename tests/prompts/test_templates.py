"""The exact texts that models are sent. A changed prompt is a changed method: a version has its snapshot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from savi.prompts.templates import FIELDS, VIDEOSAVI_1, VIDEOSAVI_2, WORLD, Prompts
from savi.types import SaviError

SNAPSHOTS = Path(__file__).parent / "snapshots"


def rendered(prompts: Prompts) -> str:
    """All prompts as a model gets them, for one example."""
    example = {
        "question": "which way does the {red} cup move",
        "answer": "left",
        "critique": "wrong ,\nit moves right",
    }
    texts = {
        "spatial question": prompts.ask("spatial", 3),
        "temporal question": prompts.ask("temporal", 3),
        "answer": prompts.answer.format(**example),
        "critique": prompts.critique.format(**example),
        "revision": prompts.revision.format(**example),
    }
    if prompts.same_meaning:
        texts["same meaning"] = prompts.same_meaning.format(other="to the left")
    return "".join(f"=== {name}\n{text}\n" for name, text in texts.items())


@pytest.mark.parametrize("prompts", [VIDEOSAVI_1, VIDEOSAVI_2, WORLD], ids=lambda prompts: prompts.version)
def test_prompts_are_those_of_their_version(prompts: Prompts) -> None:
    expected = (SNAPSHOTS / f"{prompts.version}.txt").read_text(encoding="utf-8")
    assert rendered(prompts) == expected, "a prompt changed: give it a new version"


def test_the_aspects_have_prompts_of_their_own() -> None:
    assert "spatial" in VIDEOSAVI_2.ask("spatial", 2)
    assert "time" in VIDEOSAVI_2.ask("temporal", 2)
    assert VIDEOSAVI_2.ask("spatial", 2) != VIDEOSAVI_2.ask("temporal", 2)


def test_every_text_is_checked() -> None:
    texts = {name for name in Prompts.__dataclass_fields__ if name != "version"}
    assert texts == set(FIELDS)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("answer", "Answer.", r"prompts.answer: the field \['question'\] is missing"),
        ("critique", "{question} {anwser}", r"prompts.critique: unknown field \['anwser'\]"),
        ("revision", "{question} {answer}", r"prompts.revision: the field \['critique'\] is missing"),
        ("spatial_question", "Write {n} questions", r"prompts.spatial_question: unknown field \['n'\]"),
        ("answer", "{question} {", "prompts.answer: .*; write {{ and }} for plain braces"),
        ("answer", "{question} {}", r"prompts.answer: unknown field \[''\]"),
    ],
)
def test_a_wrong_template_is_refused_in_one_line(name: str, text: str, message: str) -> None:
    with pytest.raises(SaviError, match=message) as error:
        replace(VIDEOSAVI_2, **{name: text})
    assert "\n" not in str(error.value)


def test_a_template_may_do_without_the_count_and_hold_plain_braces() -> None:
    prompts = replace(VIDEOSAVI_2, temporal_question="ask", answer="{question} as {{json}}")
    assert prompts.ask("temporal", 3) == "ask"
    assert prompts.answer.format(question="why") == "why as {json}"
