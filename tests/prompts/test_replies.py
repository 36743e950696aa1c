"""Replies as real instruct models write them, in English and Chinese, with what a careful reader would take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from savi.prompts.answers import parse_answer, parse_revision
from savi.prompts.content import talks_about_task
from savi.prompts.critiques import parse_critique, read_verdict
from savi.prompts.markup import Unparsable
from savi.prompts.questions import parse_questions
from savi.prompts.refusals import refuses

REPLIES = Path(__file__).parent / "replies"


def cases(name: str) -> list[dict[str, Any]]:
    text = (REPLIES / f"{name}.yaml").read_text(encoding="utf-8")
    loaded: list[dict[str, Any]] = yaml.load(text, Loader=yaml.CSafeLoader)  # Python's own takes seconds
    return loaded


def taken(parse: Callable[[str], Any], reply: str) -> Any:
    try:
        return parse(reply)
    except Unparsable:
        return None


@pytest.mark.parametrize("case", cases("questions"), ids=lambda case: case["reply"][:40])
def test_questions_are_read_as_a_careful_reader_would(case: dict[str, Any]) -> None:
    assert (taken(parse_questions, case["reply"]) or []) == case["taken"]


@pytest.mark.parametrize("case", cases("answers"), ids=lambda case: case["reply"][:40])
def test_answers_are_read_as_a_careful_reader_would(case: dict[str, Any]) -> None:
    assert taken(parse_answer, case["reply"]) == case["taken"]


@pytest.mark.parametrize("case", cases("revisions"), ids=lambda case: case["reply"][:40])
def test_revisions_are_read_as_a_careful_reader_would(case: dict[str, Any]) -> None:
    text = taken(parse_revision, case["reply"])
    assert text == case["taken"]
    assert not case.get("filtered") or talks_about_task(text)


@pytest.mark.parametrize("case", cases("critiques"), ids=lambda case: case["reply"][:40])
def test_critiques_are_read_with_their_verdict(case: dict[str, Any]) -> None:
    text = taken(parse_critique, case["reply"])
    assert text == case["taken"]
    assert (None if text is None else read_verdict(text)) == case.get("verdict")


@pytest.mark.parametrize("piece", ["but ", "sorry, but that ", "I understand ", "I understand, sorry, but "])
def test_a_reply_that_says_one_thing_over_and_over_is_read(piece: str) -> None:
    """Where a pattern can divide such a reply in several ways, this test doesn't end."""
    assert not refuses(200 * piece)
    assert refuses(f"{piece}I cannot watch videos.")


@pytest.mark.parametrize(
    "reply",
    ["Red" + 400 * "\n" + "<b", 660 * "**. ", 1000 * ", ", 660 * "（. ", 500 * "- a\n"],
    ids=lambda text: text[:6],
)
@pytest.mark.parametrize("parse", [parse_answer, parse_revision, parse_critique, parse_questions])
def test_a_reply_of_repeated_marks_is_read(parse: Callable[[str], Any], reply: str) -> None:
    """Where a pattern can divide the blank lines in several ways, this test doesn't end."""
    taken(parse, reply)
