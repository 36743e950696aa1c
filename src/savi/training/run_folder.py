"""The place and the name of a Trainer's run, and whether it has ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning import Trainer

from savi.training.metrics_file import ResumableCSVLogger


def run_folder(trainer: Trainer) -> Path:
    """The run's folder: the Trainer's `default_root_dir`, whatever loggers there are.

    Only the first process writes there. The command line sets it to lightning_logs/<name>/version_<n>.
    """
    return Path(trainer.default_root_dir)


def run_name(trainer: Trainer) -> str:
    """The run's name in its results and tables: that of its metrics file, else of its folder."""
    own = next((logger for logger in trainer.loggers if isinstance(logger, ResumableCSVLogger)), None)
    return str(own.name) if own else run_folder(trainer).absolute().name


def has_ended(trainer: Trainer) -> bool:
    """Whether a run has its rounds, or its steps, as it has when it was killed while it closed."""
    rounds, steps = trainer.max_epochs, trainer.max_steps
    progress: Any = trainer.fit_loop.epoch_progress.current
    # After a resume, current_epoch is one less than the rounds that have been processed.
    return (rounds is not None and 0 <= rounds <= progress.processed) or 0 <= steps <= trainer.global_step
