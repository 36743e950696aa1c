"""Silences messages that a user can do nothing about."""

from __future__ import annotations

import logging
import re
import warnings

import transformers


def quiet() -> None:
    """Filter log records and warnings of the libraries, for the rest of the process."""
    transformers.utils.logging.disable_progress_bar()
    said = re.compile(r"litlogger|Trainer\(val_check_interval=1.0\)` was configured")
    lightning = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    lightning.addFilter(lambda record: not said.search(record.getMessage()))
    for message in (
        "LightningCLI's args parameter is intended",  # we pass the command line's own
        ".*does not have many workers",
        "`is_gradient_checkpointing` is deprecated",  # peft asks a model for it by its old name
        ".*isinstance\\(treespec, LeafSpec\\)",  # Lightning's
        "The number of training batches .* is smaller than the logging interval",
        "Total length of `list` across ranks is zero",  # data.benchmark: null
        "Checkpoint directory .* exists and is not empty",  # a resumed run's own
        "It is recommended to use .*sync_dist=True",  # what is logged has been gathered
    ):
        warnings.filterwarnings("ignore", message=message)
