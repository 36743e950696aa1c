"""A Trainer, however it was made, held against what the method asks of it."""

from __future__ import annotations

from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.accelerators import CUDAAccelerator, MPSAccelerator
from lightning.pytorch.plugins import MixedPrecision, Precision
from lightning.pytorch.trainer.states import TrainerFn

from savi.alignment.trainer_arguments import check_arguments
from savi.errors import SaviError
from savi.models.load import BaseSettings

ATTRIBUTES = (
    "reload_dataloaders_every_n_epochs",
    "accumulate_grad_batches",
    "gradient_clip_val",
    "fast_dev_run",
    "barebones",
    "max_epochs",
    "max_steps",
    "limit_train_batches",
    "check_val_every_n_epoch",
    "callbacks",
)
"""Arguments of training that a Trainer keeps as they were given."""


def check_trainer(trainer: Trainer, base: BaseSettings) -> None:
    """Raises SaviError for a Trainer that the method can't run with on this base, however it was made.

    A Trainer keeps most arguments as attributes. Those that only training uses are not checked for a validation.
    """
    given: dict[str, Any] = {
        "accelerator": "mps" if isinstance(trainer.accelerator, MPSAccelerator) else None,
        "strategy": type(trainer.strategy).__name__,
        "precision": _precision_of(trainer),
    }
    if trainer.state.fn == TrainerFn.FITTING:
        given |= {name: getattr(trainer, name) for name in ATTRIBUTES}
        given["num_sanity_val_steps"] = -1 if trainer.num_sanity_val_steps == float("inf") else 2
        given["val_check_interval"] = getattr(trainer, "val_check_interval", "a time")
    if trainer.world_size > 1:
        given["use_distributed_sampler"] = trainer._accelerator_connector.use_distributed_sampler
    check_arguments(given)
    exact = torch.are_deterministic_algorithms_enabled() and not torch.is_deterministic_algorithms_warn_only_enabled()
    if exact and isinstance(trainer.accelerator, CUDAAccelerator):
        raise SaviError(
            "trainer.deterministic true: a token is drawn by summing probabilities up, which PyTorch can't do "
            "deterministically on a GPU; take trainer.deterministic=warn"
        )
    if base.nf4 and given["precision"] != "32-true":
        raise SaviError(
            f"trainer.precision {given['precision']}: with model.base.nf4 the base computes in model.base.dtype; take "
            "trainer.precision=32-true with model.base.dtype=bfloat16"
        )


def _precision_of(trainer: Trainer) -> str:
    plugin = trainer.precision_plugin
    return str(plugin.precision) if type(plugin) in (Precision, MixedPrecision) else type(plugin).__name__
