"""The bars of a round: of the clips that its pairs are built of, and of its optimizer steps.

Where they end up in a file and not on a terminal, each drawing is a line more: they are drawn seldom.
"""

from __future__ import annotations

import sys
from typing import Any, NoReturn

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from tqdm import tqdm

LOGGED_SECONDS = 60.0
LOGGED_STEPS = 50


class RoundProgressBar(TQDMProgressBar):
    """Lightning's bar, which counts rounds from 1 as the results do."""

    def __init__(self) -> None:
        super().__init__(refresh_rate=1 if sys.stdout.isatty() else LOGGED_STEPS)

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        super().on_train_epoch_start(trainer)
        self.train_progress_bar.set_description(f"Round {trainer.current_epoch + 1}: it learns from its pairs")

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        metrics: dict[str, Any] = super().get_metrics(trainer, pl_module)
        return {name.removeprefix("rewards/"): value for name, value in metrics.items() if name != "v_num"}


def clip_bar(doing: str, total: int, done: int, disable: bool) -> tqdm[NoReturn]:
    """A bar of clips, on standard error. done: those of `total` that need nothing more."""
    seconds = 0.1 if sys.stderr.isatty() else LOGGED_SECONDS
    return tqdm(
        total=total,
        initial=done,
        desc=doing,
        unit="clip",
        mininterval=seconds,
        maxinterval=max(seconds, 10.0),
        disable=disable,
    )
