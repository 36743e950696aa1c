"""Each setting of the command line has been decided: identity, changeable or irrelevant to a run that exists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from jsonargparse import ArgumentParser

from savi.cli.parser import SaviArgumentParser
from savi.cli.train import SaviCLI
from savi.record.settings_kinds import (
    BY_CONTENT,
    KINDS,
    OF_THE_MODEL,
    Difference,
    Kind,
    differences,
    flatten,
    kind_of,
    of_rounds,
)
from savi.training.datamodule import ClipDataModule
from savi.training.module import SelfAlignment

NOT_SETTINGS = {"help", "config", "print_config", "optimizer", "lr_scheduler"}


class ParserAlone(SaviCLI):
    """The command line up to its parser."""

    def before_instantiate_classes(self) -> None:
        return

    def instantiate_classes(self) -> None:
        return

    def _run_subcommand(self, subcommand: str) -> None:
        return


@pytest.fixture
def parser() -> ArgumentParser:
    cli = ParserAlone(
        model_class=SelfAlignment,
        datamodule_class=ClipDataModule,
        args=["fit"],
        seed_everything_default=0,
        auto_configure_optimizers=False,
        parser_class=SaviArgumentParser,
    )
    return cli._parser("fit")


def keys_of(parser: ArgumentParser) -> Iterator[str]:
    """The settings of a parser without those that hold others, and without the targets of links."""
    actions = [action for action in parser._actions if type(action).__name__ not in ("_ActionConfigLoad", "ActionLink")]
    for action in actions:
        if action.dest not in NOT_SETTINGS and not action.dest.endswith(".help"):
            yield action.dest


def undecided(parser: ArgumentParser) -> list[str]:
    """Settings without an entry of their own. The Trainer's flags are decided where they are accepted or refused."""
    return [key for key in keys_of(parser) if key not in KINDS and not key.startswith("trainer.")]


def test_every_setting_has_been_decided(parser: ArgumentParser) -> None:
    assert len(list(keys_of(parser))) > 100
    assert undecided(parser) == []


def test_a_new_setting_fails_until_it_is_decided(parser: ArgumentParser) -> None:
    parser.add_argument("--model.chain.new", type=int, default=1)
    assert undecided(parser) == ["model.chain.new"]


def test_what_is_decided_exists(parser: ArgumentParser) -> None:
    there = {*keys_of(parser), "trainer"}
    assert KINDS.keys() - there == set()
    assert {*BY_CONTENT, *OF_THE_MODEL} <= {key for key, kind in KINDS.items() if kind is Kind.IDENTITY}


def test_a_key_is_decided_by_itself_or_its_nearest_group() -> None:
    assert kind_of("model.lora.alpha") is Kind.IDENTITY
    assert kind_of("trainer.max_epochs") is Kind.CHANGEABLE
    assert kind_of("trainer.devices") is Kind.IRRELEVANT
    assert kind_of("data.benchmark.mvbench.root") is Kind.CHANGEABLE
    with pytest.raises(KeyError):
        kind_of("model.unheard_of")


def test_settings_are_compared_by_value_and_only_where_both_have_them() -> None:
    run = flatten(yaml.safe_load("model: {lora: {r: 8, alpha: 16}, dpo: {beta: 0.1}, base: {path: a}}\nthreads: 1"))
    given: dict[str, Any] = {**run, "model.lora.alpha": 64, "model.dpo.beta": 0.2, "model.base.path": "b"}
    assert "threads" not in run
    assert differences(run, given, Kind.IDENTITY) == [Difference("model.lora.alpha", 16, 64)]
    assert differences(run, given, Kind.CHANGEABLE) == [Difference("model.dpo.beta", 0.1, 0.2)]
    assert differences({}, given, Kind.IDENTITY) == []
    assert of_rounds(given) == {"model.dpo.beta": 0.2}
