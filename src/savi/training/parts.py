"""What the callbacks that measure a run see of its module and its data, so that they don't import the module."""

from __future__ import annotations

from typing import Protocol, cast

from lightning import LightningModule, Trainer
from peft import PeftModel

from savi.models.adapters import LoraSettings
from savi.models.load import BaseSettings
from savi.prompts.templates import Prompts
from savi.training.datamodule import ClipDataModule
from savi.types import Sampling


class Aligned(Protocol):
    """What they ask of the module."""

    seed: int
    base_settings: BaseSettings
    lora_settings: LoraSettings
    prompts: Prompts
    reply: Sampling
    peft_model: PeftModel

    def base_fingerprint(self) -> str: ...


def aligned(module: LightningModule) -> Aligned:
    """The module as they see it."""
    return cast(Aligned, module)


def data_of(trainer: Trainer) -> ClipDataModule:
    """The run's clips, pairs and held-out items."""
    data: ClipDataModule = trainer.datamodule  # type: ignore[attr-defined]
    return data
