"""Earlier names of settings, in nested and in dotted form."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

import pytest

from savi.critique.settings import ChainSettings
from savi.errors import SaviError
from savi.methods import Hound, PairMethod, RandomPreference, VideoSAVi
from savi.methods.critics import Shuffled
from savi.record.earlier_methods import KEYS as CLASSES_NOW
from savi.record.earlier_methods import chain_of
from savi.record.renamed import RENAMED, current_key, current_settings, earlier_names, rename
from savi.record.settings_kinds import KINDS, without_later


@pytest.mark.parametrize("old", RENAMED)
def test_every_earlier_key_leads_to_a_setting_of_the_same_group(old: str) -> None:
    new = RENAMED[old]
    assert old.rpartition(".")[0] == new.rpartition(".")[0]
    assert not any(f"{key}.".startswith(f"{old}.") for key in KINDS)
    known = (*KINDS, *CLASSES_NOW.values(), "model.max_pixels")
    assert any(f"{key}.".startswith(f"{new}.") for key in known)
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


@pytest.mark.parametrize(
    ("method", "digest"),
    [
        (VideoSAVi(), "949404a0cd4b8749"),
        (RandomPreference(Shuffled()), "fe1d1cd12b5f3965"),
        (Hound(), "7d60c94e8c59f79f"),
    ],
)
def test_the_digest_of_a_rounds_settings_is_that_of_earlier_versions(method: PairMethod, digest: str) -> None:
    """As version faa567d made it. With another digest, a round that it began could not be resumed."""
    known = (chain_of(method.identity()) or {}) | without_later(asdict(ChainSettings()), "model.chain")
    text = json.dumps(earlier_names(known, "model.chain"), sort_keys=True)
    assert hashlib.blake2b(text.encode(), digest_size=8).hexdigest() == digest


def test_words_of_values_are_renamed_both_ways() -> None:
    found: dict[str, str] = {}
    old = {"chain": {"second": "sample", "critic": {"who": "itself", "base": ""}}}
    new = {"chain": {"chosen_source": "sample", "critic": {"kind": "self", "base": ""}}}
    assert rename(old, found, "model") == new
    assert found["model.chain.critic.kind itself"] == "model.chain.critic.kind self"
    assert earlier_names(new, "model") == old
    assert current_settings({"model.prompts.preset": "default"}) == {"model.prompts.preset": "videosavi-1"}
