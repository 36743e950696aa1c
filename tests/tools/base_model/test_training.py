"""Teaching a base: a stage that is there already is not taught again, and a weak base shares all but its last."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from savi.world.questions import KINDS
from tools.base_model.build import SIZES
from tools.base_model.card import ROWS, model_card
from tools.base_model.teach import WEAK_STEPS, Lecture, teach


def test_stages_are_taken_up_where_they_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taught: list[tuple[str, int]] = []

    def stage(name: str) -> Callable[[Lecture, int], None]:
        return lambda lecture, steps: taught.append((name, steps))

    stages = [("tower", stage("tower"), 3), ("captions", stage("captions"), 4), ("chain", stage("chain"), 800)]
    monkeypatch.setattr("tools.base_model.teach.STAGES", stages)
    monkeypatch.setattr("tools.base_model.teach.SCENES", 2)
    lecture = Lecture(7, tmp_path, SIZES["small"])
    teach(lecture, tmp_path, "usual")
    teach(lecture, tmp_path, "weak")
    teach(lecture, tmp_path, "small")
    teach(lecture, tmp_path, "small")
    usual = [("tower", 3), ("captions", 4), ("chain", 800)]
    assert taught == [*usual, ("chain", WEAK_STEPS), *usual]
    assert {path.name for path in tmp_path.glob("*.pt")} == {
        *("tower_7.pt", "captions_7.pt", "chain_7.pt", "chain_weak-7.pt"),
        *("tower_small-7.pt", "captions_small-7.pt", "chain_small-7.pt"),
    }


def test_the_card_says_how_its_base_is_made_again() -> None:
    numbers = dict.fromkeys(ROWS, 0.5)
    for kind in KINDS:
        numbers |= {f"greedy {kind}": 0.25, f"greedy revised {kind}": 0.75}
    usual = model_card(2, "usual", 1_323_168, numbers, 200, 2400.0)
    assert "1.3 million parameters" in usual
    assert "`make base SEED=2` (`python -m tools.base_model.teach --seed 2`)" in usual
    weak = model_card(2, "weak", 1_323_168, numbers, 200, 2400.0)
    assert "`make base SEED=2 KIND=weak` (`python -m tools.base_model.teach --seed 2 --kind weak`)" in weak
    assert ("Cut short on purpose" in weak, "Cut short on purpose" in usual) == (True, False)
