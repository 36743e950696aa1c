"""Limits of the Trainer, which end a run in the middle of a round, or before the next one."""

from __future__ import annotations

from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Timer

from savi.distributed.collectives import from_rank_zero
from savi.training.parts import callbacks_of_kind


class RunLimits(Callback):
    """Makes `max_steps` end with an evaluation, and `max_time` before pairs that nothing will learn from are built."""

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == trainer.max_steps:
            # Lightning evaluates where it is told to stop, but not where it runs out of steps within a round.
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        # A timer looks at its clock after optimizer steps alone.
        left = [left for timer in callbacks_of_kind(trainer, Timer) if (left := timer.time_remaining()) is not None]
        if from_rank_zero(lambda: bool(left) and min(left) <= 0, "training"):
            trainer.should_stop = True
