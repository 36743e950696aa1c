"""The module, the data and the callbacks of a Trainer by their own types, which Lightning doesn't know."""

from __future__ import annotations

from typing import TypeVar, cast

from lightning import Callback, LightningModule, Trainer

from savi.training.aligned_model import AlignedModel
from savi.training.datamodule import ClipDataModule

C = TypeVar("C", bound=Callback)


def aligned(module: LightningModule) -> AlignedModel:
    """The run's model."""
    return cast(AlignedModel, module)


def data_of(trainer: Trainer) -> ClipDataModule:
    """The run's clips, pairs and held-out items."""
    data: ClipDataModule = trainer.datamodule  # type: ignore[attr-defined]  # fit() attaches it
    return data


def callbacks_of(trainer: Trainer) -> list[Callback]:
    """The Trainer's own list of callbacks."""
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]  # its callback connector attaches it
    return callbacks


def callbacks_of_kind(trainer: Trainer, kind: type[C]) -> list[C]:
    """The callbacks of one class, in their order."""
    return [callback for callback in callbacks_of(trainer) if isinstance(callback, kind)]
