"""The checkpoints that a run can be resumed from."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from savi.errors import SaviError
from savi.files import replacing, write_durably
from savi.record.checkpoint_files import newest_checkpoint, read_checkpoint
from savi.training.run_folder import run_folder


def count_finished_round(trainer: Trainer) -> None:
    """Count the round of the checkpoint as completed, before Lightning asks for the pairs of the next one.

    A checkpoint is written before Lightning counts its round. When the run is resumed, Lightning asks for pairs first
    and counts then. With `max_steps` it never counts, and takes the next round for the rest of the finished one.
    """
    progress: Any = trainer.fit_loop.epoch_progress
    if progress.current.completed < progress.current.processed == progress.current.ready:
        progress.increment_completed()
        trainer.fit_loop.epoch_loop.restarting = False


class RunCheckpointIO(TorchCheckpointIO):
    """Lightning's reading and writing of checkpoints, so that a kill or a full disk leaves the last good one."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Raises SaviError where the file can't be written; the one that was there before stays."""
        if "://" in str(path):
            return super().save_checkpoint(checkpoint, path, storage_options)
        content = io.BytesIO()
        torch.save(checkpoint, content)
        try:
            write_durably(Path(path), content.getbuffer())
        except OSError as error:
            raise SaviError(
                f"{path}: the checkpoint can't be written: {error.strerror}; the run resumes from the one before it"
            ) from None
        return None

    def load_checkpoint(self, path: Any, *_: Any, **__: Any) -> dict[str, Any]:
        """Raises SaviError for a file that isn't a checkpoint of savi."""
        return read_checkpoint(Path(path))


class RunCheckpoint(ModelCheckpoint):
    """Writes round_NN.ckpt and last.ckpt into the run's folder at the end of each round.

    A round that is stopped in the middle (by Trainer's max_steps or max_time) goes to unfinished.ckpt, which can be
    validated; a resume trains that round again, from its start.
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
        if type(trainer.strategy.checkpoint_io) is TorchCheckpointIO:  # and no plugin of the user's
            trainer.strategy.checkpoint_io = RunCheckpointIO()
        super().setup(trainer, pl_module, stage)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        unfinished = Path(str(self.dirpath)) / "unfinished.ckpt"
        if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._save_checkpoint(trainer, str(unfinished))
            return
        super().on_train_epoch_end(trainer, pl_module)
        if trainer.is_global_zero:
            unfinished.unlink(missing_ok=True)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            self._complete()

    def _complete(self) -> None:
        """Let last.ckpt be the newest: a kill before it was written has left the last round in round_NN.ckpt alone."""
        folder = Path(str(self.dirpath))
        newest = newest_checkpoint(folder.parent, at_end_of_round=True)
        if newest is not None and newest.path.name != "last.ckpt":
            with replacing(folder / "last.ckpt") as temporary:
                shutil.copyfile(newest.path, temporary)

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the names of the files do not depend on those written before, nor on where the run was then."""
        return {}
