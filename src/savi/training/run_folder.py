"""Where a run is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning import Trainer


def run_folder(trainer: Trainer) -> Path:
    """lightning_logs/<experiment>/version_<n> of this run. Only the first process writes there.

    Unlike trainer.log_dir it may be asked for in one process alone.
    """
    logger: Any = trainer.logger
    return Path(logger.log_dir if logger else ".")
