"""A stage of teaching that can be stopped and killed: it resumes to the bit."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from savi.errors import SaviError

WARMUP = 10
AVERAGED = 0.98
"""Of the moving average of what is learned, which is what is measured and shipped."""
SAVED_EVERY = 180.0
"""Seconds between two checkpoints."""


@dataclass
class Course:
    """One stage: its optimizer, what it learns, and how far it is.

    average: moving average of what is learned. step: number of steps that are done. planned: of how many, 0 if run()
    has not begun.
    """

    checkpoint: Path
    optimizer: torch.optim.Optimizer
    learned: dict[str, nn.Parameter]
    average: dict[str, Tensor] = field(default_factory=dict)
    step: int = 0
    planned: int = 0
    saved: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        """Resume from the checkpoint, if there is one."""
        self.average = {name: weight.detach().clone() for name, weight in self.learned.items()}
        if self.checkpoint.exists():
            state: dict[str, Any] = torch.load(self.checkpoint, weights_only=True)
            self.optimizer.load_state_dict(state["optimizer"])
            for name, weight in self.learned.items():
                weight.data.copy_(state["learned"][name])
            self.average, self.step = state["average"], state["step"]
            self.planned = state.get("planned", 0)

    def save(self) -> None:
        """A kill leaves the checkpoint of before, or this one."""
        unfinished = self.checkpoint.with_suffix(".tmp")
        state = {
            "optimizer": self.optimizer.state_dict(),
            "learned": {name: weight.data for name, weight in self.learned.items()},
            "average": self.average,
            "step": self.step,
            "planned": self.planned,
        }
        torch.save(state, unfinished)
        unfinished.replace(self.checkpoint)
        self.saved = time.monotonic()

    def run(self, steps: int, learn: Callable[[int], None], stopped: Callable[[], bool]) -> bool:
        """Learn until `steps` are done, or until stopped, and save. Returns whether they are done.

        learn: adds the gradients of a step. The rate warms up, then falls to a twentieth along a cosine. Raises
        SaviError for another number of steps than the course began with: the rate was another one.
        """
        if self.planned not in (0, steps):
            raise SaviError(f"{self.checkpoint} is of a course of {self.planned} steps, not {steps}")
        self.planned = steps
        while self.step < steps and not stopped():
            share = self.step / steps
            warm = min(1.0, (self.step + 1) / WARMUP)
            for group in self.optimizer.param_groups:
                group["lr"] = group["most"] * warm * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * share)))
            self.optimizer.zero_grad()
            learn(self.step)
            nn.utils.clip_grad_norm_(self.learned.values(), 1.0)
            self.optimizer.step()
            self.step += 1
            self._follow()
            if time.monotonic() - self.saved > SAVED_EVERY:
                self.save()
        self.save()
        return self.step >= steps

    def _follow(self) -> None:
        """Move the average a little, in the first steps more."""
        kept = min(AVERAGED, self.step / (self.step + 10))
        for name, weight in self.learned.items():
            self.average[name].lerp_(weight.data, 1 - kept)


def adamw(groups: Iterable[tuple[Iterable[nn.Parameter], float]]) -> torch.optim.AdamW:
    """The optimizer of some groups of parameters, each with its highest rate."""
    return torch.optim.AdamW(
        [{"params": list(parameters), "lr": rate, "most": rate} for parameters, rate in groups],
        betas=(0.9, 0.95),
        weight_decay=0.01,
    )
