"""A Trainer made by hand is held to the method's arguments before it prepares data or loads a model."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.accelerators import CUDAAccelerator
from lightning.pytorch.callbacks import ModelCheckpoint, StochasticWeightAveraging
from lightning.pytorch.plugins import DoublePrecision

from savi.alignment.optim import OptimizerSettings
from savi.alignment.trainer_arguments import TRAINER_ARGUMENTS
from savi.critique.filters import FilterSettings
from savi.critique.settings import ChainSettings
from savi.errors import SaviError
from savi.models.adapters import LoraSettings
from savi.models.load import BaseSettings
from savi.objective.dpo import DPOSettings
from savi.prompts.templates import PromptSettings
from savi.training.check_trainer import check_trainer
from savi.training.checkpoints import RunCheckpoint
from savi.training.datamodule import ClipDataModule
from savi.training.module import SelfAlignment

LOOP = {name: TRAINER_ARGUMENTS[name].value for name in ("reload_dataloaders_every_n_epochs", "num_sanity_val_steps")}


class Untouched(ClipDataModule):
    """Fails where data are prepared, which is the first thing that takes time."""

    def prepare_data(self) -> None:
        raise AssertionError("data are prepared before the Trainer was checked")


class PreparedError(Exception):
    """Preparing the data has begun."""


class Reached(ClipDataModule):
    def prepare_data(self) -> None:
        raise PreparedError


def build_trainer(folder: Path, **given: Any) -> Trainer:
    own = {"accelerator": "cpu", "default_root_dir": folder, "logger": False, "max_epochs": 1}
    return Trainer(**{**own, **LOOP, **given})


def build_module() -> SelfAlignment:
    return SelfAlignment(
        BaseSettings(path="world"),
        LoraSettings(),
        DPOSettings(),
        OptimizerSettings(),
        ChainSettings(),
        FilterSettings(),
        PromptSettings(),
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"reload_dataloaders_every_n_epochs": 0}, "pairs are built by the model of that round"),
        ({"num_sanity_val_steps": 2}, "the base is measured on all held-out items"),
        ({"accumulate_grad_batches": 2}, "one batch is one optimizer step"),
        ({"gradient_clip_val": 1.0}, "clip_norm"),
        ({"val_check_interval": 0.5}, "a round is evaluated at its end"),
        ({"val_check_interval": "00:00:05:00"}, "a round is evaluated at its end"),
        ({"fast_dev_run": True}, "short run"),
        ({"barebones": True, "logger": None, "num_sanity_val_steps": None}, "barebones"),
        ({"limit_train_batches": 0}, "learn nothing"),
        ({"max_steps": 0}, "no optimizer step"),
        ({"precision": "bf16-true"}, "model.base.dtype"),
        ({"plugins": DoublePrecision()}, "model.base.dtype"),
        ({"callbacks": StochasticWeightAveraging(0.1)}, "average"),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else value,  # an object's text has its address
)
def test_a_deviation_is_refused_before_anything_expensive(given: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(SaviError, match=said):
        build_trainer(tmp_path, **given).fit(build_module(), Untouched(clip_count=1))
    assert not any(tmp_path.iterdir())


def test_lightning_must_not_share_out_the_work_of_several_processes_a_second_time(tmp_path: Path) -> None:
    with pytest.raises(SaviError, match="each process takes its share"):
        check_trainer(build_trainer(tmp_path, strategy="ddp", devices=2), BaseSettings(path="world"))
    check_trainer(
        build_trainer(tmp_path, strategy="ddp", devices=2, use_distributed_sampler=False), BaseSettings(path="world")
    )


@pytest.mark.parametrize(("deterministic", "refused"), [(True, True), ("warn", False), (False, False)])
def test_deterministic_sampling_needs_the_cpu(
    deterministic: Any, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What PyTorch documents: torch.cumsum has no deterministic implementation for CUDA tensors."""
    trainer = build_trainer(tmp_path, deterministic=deterministic)
    check_trainer(trainer, BaseSettings(path="world"))
    monkeypatch.setattr(Trainer, "accelerator", CUDAAccelerator())
    with pytest.raises(SaviError, match="deterministic=warn") if refused else nullcontext():
        check_trainer(trainer, BaseSettings(path="world"))
    torch.use_deterministic_algorithms(False)


def test_lightnings_defaults_are_not_the_methods(tmp_path: Path) -> None:
    with pytest.raises(SaviError, match="has to be"):
        Trainer(default_root_dir=tmp_path, logger=False).fit(build_module(), Untouched(clip_count=1))


def test_a_trainer_with_the_methods_arguments_is_taken_and_keeps_the_users_checkpoint(tmp_path: Path) -> None:
    mine = ModelCheckpoint(monitor="val/accuracy")
    trainer = build_trainer(tmp_path, callbacks=[mine])
    with pytest.raises(PreparedError):
        trainer.fit(build_module(), Reached(clip_count=1))
    assert mine in trainer.checkpoint_callbacks
    assert [type(one) for one in trainer.checkpoint_callbacks].count(RunCheckpoint) == 1


def test_a_validation_needs_no_argument_of_training(tmp_path: Path) -> None:
    with pytest.raises(PreparedError):
        Trainer(accelerator="cpu", default_root_dir=tmp_path).validate(build_module(), Reached(clip_count=1))
