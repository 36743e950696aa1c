"""The module and the data of a Trainer by their own types, which Lightning doesn't know."""

from __future__ import annotations

from typing import cast

from lightning import LightningModule, Trainer

from savi.training.aligned_model import AlignedModel
from savi.training.datamodule import ClipDataModule


def aligned(module: LightningModule) -> AlignedModel:
    """The run's model."""
    return cast(AlignedModel, module)


def data_of(trainer: Trainer) -> ClipDataModule:
    """The run's clips, pairs and held-out items."""
    data: ClipDataModule = trainer.datamodule  # type: ignore[attr-defined]  # Lightning attaches it in fit()
    return data
