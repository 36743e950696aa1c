"""The bar of a round's optimiser steps, beside the one of its pair building."""

from __future__ import annotations

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar


class RoundProgressBar(TQDMProgressBar):
    """Lightning's bar, which counts rounds from 1 as the results do."""

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        super().on_train_epoch_start(trainer)
        self.train_progress_bar.set_description(f"Round {trainer.current_epoch + 1}: it learns from its pairs")

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        metrics: dict[str, Any] = super().get_metrics(trainer, pl_module)
        return {name.removeprefix("rewards/"): value for name, value in metrics.items() if name != "v_num"}
