"""Methods as earlier versions asked for them: by settings of the chain, in files, runs and checkpoints."""

from __future__ import annotations

from typing import Any

import pytest

from savi import methods
from savi.errors import SaviError
from savi.methods import critics
from savi.record.earlier_methods import DEFAULTS, chain_of, method_of, with_classes, with_classes_flat

EARLIER: list[dict[str, Any]] = [
    {},
    {"aspects": ["temporal"]},
    {"aspects": ["spatial"]},
    {"preference": "random"},
    {"preference": "random", "critic": {"kind": "shuffled", "base": ""}},
    {"chosen_source": "sample"},
    {"chosen_source": "sample", "preference": "judge"},
    {"critic": {"kind": "text", "base": ""}},
    {"critic": {"kind": "another", "base": "bases/1"}, "aspects": ["temporal"]},
    {"critic": {"kind": "truth", "base": ""}},
]


def build(named: dict[str, Any]) -> methods.PairMethod:
    arguments = dict(named.get("init_args", {}))
    if critic := arguments.get("critic"):
        arguments["critic"] = getattr(critics, critic["class_path"].rpartition(".")[2])(**critic.get("init_args", {}))
    method: methods.PairMethod = getattr(methods, named["class_path"].removeprefix("savi.methods."))(**arguments)
    return method


@pytest.mark.parametrize("chain", EARLIER)
def test_the_method_of_earlier_settings_is_known_by_them_in_digests(chain: dict[str, Any]) -> None:
    assert chain_of(build(method_of(chain)).identity()) == DEFAULTS | chain


def test_methods_and_critics_that_earlier_versions_did_not_have_are_known_by_their_names() -> None:
    class Mine(critics.Itself):
        pass

    for method in (methods.BestOfN(), methods.ISRT(), methods.VideoSAVi(Mine())):
        assert chain_of(method.identity()) is None


def test_nested_and_flat_settings_get_the_method_that_they_named() -> None:
    hound = {"class_path": "savi.methods.Hound"}
    nested = {"model": {"chain": {"chosen_source": "sample", "preference": "judge", "decoding": "own"}, "pairs": None}}
    assert with_classes(nested) == {"model": {"chain": {"decoding": "own"}, "pairs": hound}}
    flat = {"model.chain.chosen_source": "sample", "model.chain.preference": "judge", "model.chain.critic.kind": "self"}
    assert with_classes_flat({**flat, "model.chain.decoding": "own", "model.pairs": None}) == {
        "model.chain.decoding": "own",
        "model.pairs": hound,
    }
    assert with_classes({"data": {}}) == {"data": {}}


def test_the_earlier_word_for_supervised_fine_tuning_names_its_loss() -> None:
    sft = {"class_path": "savi.objective.losses.SFT"}
    assert with_classes({"model": {"dpo": {"loss": "sft", "beta": 1.0}}}) == {
        "model": {"dpo": {"loss": "sigmoid", "beta": 1.0}, "loss": sft}
    }
    assert with_classes_flat({"model.dpo.loss": "sft"}) == {"model.dpo.loss": "sigmoid", "model.loss": sft}


def test_an_earlier_run_with_pairs_from_files_has_their_method() -> None:
    earlier = {"data.pairs": ["pairs.jsonl"], "model.pairs": {"class_path": "savi.methods.VideoSAVi"}}
    assert with_classes_flat(earlier) == {**earlier, "model.pairs": {"class_path": "savi.methods.FromFiles"}}
    assert with_classes_flat({**earlier, "data.pairs": None}) == {**earlier, "data.pairs": None}


def test_what_no_method_does_any_more_is_refused() -> None:
    with pytest.raises(SaviError, match="chosen_source=revision, preference=judge"):
        method_of({"preference": "judge"})


@pytest.mark.parametrize(
    ("model", "named"),
    [
        ({"chain": {"aspects": ["temporal"]}, "pairs": {"class_path": "savi.methods.Hound"}}, "model.chain.aspects"),
        ({"dpo": {"loss": "sft"}, "loss": {"class_path": "mine.Loss"}}, "model.dpo.loss"),
    ],
)
def test_earlier_settings_next_to_the_new_ones_are_refused(model: dict[str, Any], named: str) -> None:
    with pytest.raises(SaviError, match=named):
        with_classes({"model": model})
