"""Silences messages that a user can do nothing about, and lets the others fit the terminal."""

from __future__ import annotations

import logging
import re
import sys
import warnings
from shutil import get_terminal_size

import transformers

from savi.report.table import fill


class FittingLines(logging.Formatter):
    """Messages in lines that fit the terminal, where they go to one."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return fill(text, get_terminal_size().columns) if sys.stderr.isatty() else text


def quiet() -> None:
    """Filter log records and warnings of the libraries, for the rest of the process."""
    transformers.utils.logging.disable_progress_bar()
    said = re.compile(r"litlogger|Trainer\(val_check_interval=1.0\)` was configured")
    lightning = logging.getLogger("lightning.pytorch.utilities.rank_zero")
    lightning.addFilter(lambda record: not said.search(record.getMessage()))
    for name in ("lightning.pytorch", "lightning.fabric"):
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(FittingLines())
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
