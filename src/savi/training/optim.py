"""The optimiser and its learning rate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from bitsandbytes.optim import PagedAdamW8bit
from torch import nn

from savi.types import SaviError


@dataclass(frozen=True)
class OptimiserSettings:
    """AdamW with a linear warm-up to a constant rate, which goes on over the rounds.

    name: paged_adamw_8bit holds the moments in 8 bits by blocks (Dettmers et al. 2022), and on a GPU in pages that
    move to the CPU's memory when the GPU's is full (Dettmers et al. 2023). warmup_steps: optimiser steps until the
    full rate. clip_norm: largest gradient norm; 0 turns clipping off.
    """

    name: Literal["adamw", "paged_adamw_8bit"] = "adamw"
    lr: float = 5e-5
    weight_decay: float = 0.0
    warmup_steps: int = 10
    clip_norm: float = 1.0

    def __post_init__(self) -> None:
        if self.lr <= 0:
            raise SaviError(f"model.optimiser.lr must be above 0, not {self.lr}")
        if self.warmup_steps < 0 or self.clip_norm < 0 or self.weight_decay < 0:
            raise SaviError("model.optimiser: warmup_steps, clip_norm and weight_decay must not be negative")


def build_optimiser(
    parameters: Iterable[nn.Parameter], settings: OptimiserSettings
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """The optimiser over the adapter's weights, and its schedule, stepped once an optimiser step."""
    kind: Any = torch.optim.AdamW if settings.name == "adamw" else PagedAdamW8bit
    optimiser: torch.optim.Optimizer = kind(parameters, lr=settings.lr, weight_decay=settings.weight_decay)
    warmup = max(1, settings.warmup_steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(1.0, (step + 1) / warmup))
    return optimiser, schedule
