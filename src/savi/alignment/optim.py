"""The optimizer and its learning rate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from savi.errors import SaviError, check_number

MOMENT = {"adamw": "exp_avg", "paged_adamw_8bit": "state1"}
"""How each optimizer calls its first moment."""


@dataclass(frozen=True)
class OptimizerSettings:
    """AdamW with a linear warm-up to a constant rate, which continues over the rounds.

    The paper's settings are not published.
    """

    name: Literal["adamw", "paged_adamw_8bit"] = "adamw"
    """adamw is PyTorch's. paged_adamw_8bit holds the moments in 8 bits by blocks (Dettmers et al. 2022), on a GPU in
    pages that move to the CPU's memory when the GPU's is full (Dettmers et al. 2023)."""

    lr: float = 5e-5
    """Learning rate after the warm-up."""

    weight_decay: float = 0.0
    """Decoupled weight decay (Loshchilov and Hutter 2019). The default has none: an adapter is small already."""

    warmup_steps: int = 10
    """Optimizer steps over which the learning rate rises to its full value."""

    clip_norm: float = 1.0
    """Largest norm of a step's gradient; a longer one is scaled down to it. 0 turns clipping off."""

    def __post_init__(self) -> None:
        check_number("model.optimizer.lr", self.lr, above=0)
        check_number("model.optimizer.weight_decay", self.weight_decay, least=0)
        check_number("model.optimizer.warmup_steps", self.warmup_steps, least=0)
        check_number("model.optimizer.clip_norm", self.clip_norm, least=0)


def build_optimizer(
    parameters: Iterable[nn.Parameter], settings: OptimizerSettings
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """The optimizer over the adapter's weights, and its schedule, stepped once an optimizer step."""
    kind: Any = torch.optim.AdamW
    if settings.name == "paged_adamw_8bit":
        from bitsandbytes.optim import PagedAdamW8bit  # seconds, as it brings torch's compiler along

        kind = PagedAdamW8bit
    optimizer: torch.optim.Optimizer = kind(parameters, lr=settings.lr, weight_decay=settings.weight_decay)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _share_of_rate(settings, step))


def apply_settings(
    optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler, settings: OptimizerSettings
) -> None:
    """Put these settings in the place of those that came with a checkpoint, whose moments and steps stay.

    Raises SaviError where the moments are another optimizer's.
    """
    moments: Any = next(iter(optimizer.state.values()), {})
    if moments and MOMENT[settings.name] not in moments:
        raise SaviError(f"model.optimizer.name: the checkpoint's moments aren't those of {settings.name}")
    schedule.base_lrs = [settings.lr for _ in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["initial_lr"] = settings.lr
        group["lr"] = settings.lr * _share_of_rate(settings, schedule.last_epoch)
        group["weight_decay"] = settings.weight_decay


def _share_of_rate(settings: OptimizerSettings, step: int) -> float:
    return min(1.0, (step + 1) / max(1, settings.warmup_steps))
