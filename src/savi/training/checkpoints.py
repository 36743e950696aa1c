"""The checkpoints that a run can be resumed from."""

from __future__ import annotations

from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from savi.training.run_folder import run_folder


class RunCheckpoint(ModelCheckpoint):
    """Writes round_NN.ckpt and last.ckpt into the run's folder at the end of each round.

    It belongs to the method: :class:`savi.training.module.SelfAlignment` adds it next to a user's own ModelCheckpoint.
    """

    def __init__(self) -> None:
        super().__init__(
            filename="round_{epoch:02d}",
            auto_insert_metric_name=False,
            save_top_k=-1,  # adapters are small
            save_last=True,
            save_on_train_epoch_end=True,
            enable_version_counter=False,  # a round that is trained again replaces its file
        )

    @property
    def state_key(self) -> str:
        # Lightning refuses two callbacks with one key, and a plain ModelCheckpoint of the user's has this one's.
        return type(self).__qualname__

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self.dirpath = str(run_folder(trainer) / "checkpoints")
        super().setup(trainer, pl_module, stage)

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the names of the files do not depend on those written before, nor on where the run was then."""
        return {}
