"""What the line about a round says of replies that were cut off."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from savi.critique.round_report import summary


@pytest.mark.parametrize(
    ("unfinished", "says"),
    [
        ({"answer": 0.0, "critique": 0.0}, "none"),
        ({"answer": 0.0, "critique": 3 / 1280}, "critique 0.2 %"),
        ({"answer": 1 / 16000, "critique": 0.146}, "answer 0.006 %, critique 15 %"),
    ],
)
def test_one_reply_of_thousands_that_was_cut_off_is_told(unfinished: dict[str, float], says: str) -> None:
    built: Any = SimpleNamespace(round=0, pairs=[], counts={"unfinished": 3}, unfinished=unfinished)
    assert summary(built, ("unfinished",)) == f"Round 1: 0 pairs; filtered: unfinished 3; cut off: {says}"
