"""Earlier names of settings, in nested and in dotted form."""

from __future__ import annotations

import pytest

from savi.errors import SaviError
from savi.training.renamed import RENAMED, current_key, current_settings, rename
from savi.training.settings_kinds import KINDS


@pytest.mark.parametrize("old", RENAMED)
def test_every_earlier_key_leads_to_a_setting_of_the_same_group(old: str) -> None:
    new = RENAMED[old]
    assert old.rpartition(".")[0] == new.rpartition(".")[0]
    assert not any(f"{key}.".startswith(f"{old}.") for key in KINDS)
    assert any(f"{key}.".startswith(f"{new}.") for key in KINDS) or new.startswith("model.max_pixels")
    assert current_key(f"{old}.deeper") == f"{new}.deeper"
    assert current_key(f"{old}_more") == f"{old}_more"


def test_nested_settings_and_references_are_renamed_and_reported() -> None:
    found: dict[str, str] = {}
    settings = {"model": {"optimiser": {"lr": "${model.optimiser.weight_decay}"}, "lora": {"r": 8}}, "x": [1, None]}
    assert rename(settings, found) == {
        "model": {"optimizer": {"lr": "${model.optimizer.weight_decay}"}, "lora": {"r": 8}},
        "x": [1, None],
    }
    assert found == {
        "model.optimiser": "model.optimizer",
        "model.optimiser.weight_decay": "model.optimizer.weight_decay",
    }


def test_a_setting_under_both_of_its_names_is_refused() -> None:
    with pytest.raises(SaviError, match=r"model\.optimiser and model\.optimizer are the same setting"):
        rename({"model": {"optimiser": {"lr": 1}, "optimizer": {"lr": 2}}})


def test_the_settings_of_a_checkpoint_are_renamed() -> None:
    assert current_settings({"model.optimiser.lr": 0.1, "model.lora.r": 8}) == {
        "model.optimizer.lr": 0.1,
        "model.lora.r": 8,
    }
