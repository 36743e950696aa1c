"""How a command ends: with one line, shown by one of its processes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import distributed

from savi.errors import SaviError, describe_os_error

LAUNCHER = "SAVI_LAUNCHER"
"""Environment variable: the process id of the savi command that has started this one as one of its processes."""

RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK")
"""Environment variables in which launchers say a process's rank. The first one that is set counts, as in Lightning."""

LESS_MEMORY = (
    "the GPU's memory is full; in this order: model.base.nf4=true, model.base.gradient_checkpointing=true, "
    "data.micro_batch_clips=1, fewer data.generation_batch_clips, a lower data.max_pixels, fewer data.frames; "
    "docs/models.md has sizes"
)

FORESEEN = (SaviError, torch.OutOfMemoryError, OSError)
"""Errors that a line tells all of: a user's mistake, too little memory, and what the system refuses."""


@contextmanager
def one_line() -> Iterator[None]:
    """End a command with one line: too little GPU memory becomes a SaviError that says what to lower.

    Of several processes one shows the line. Once they have met, and where all were started alike and find the same
    mistake, it is the first. A process that another savi command has launched may be the only one to find it.
    """
    try:
        yield
    except FORESEEN as error:
        if not is_first() and (are_several() or LAUNCHER not in os.environ):
            sys.exit(2)
        if not isinstance(error, torch.OutOfMemoryError):
            raise
        raise SaviError(describe(error)) from None


def describe(error: BaseException) -> str:
    """The line for the terminal about an error."""
    text = str(error)
    if isinstance(error, SaviError):
        return text
    if isinstance(error, torch.OutOfMemoryError):
        return f"{LESS_MEMORY} ({text.partition('. ')[0]})"
    if isinstance(error, OSError):
        return describe_os_error(error)
    return " ".join(f"{type(error).__name__}: {text}".split())


def is_first() -> bool:
    """Whether this is the first process, by what its launcher says: known before the processes have met."""
    if are_several():
        return distributed.get_rank() == 0
    rank = next((os.environ[name] for name in RANKS if name in os.environ), "0")
    # Lightning's own launcher on several machines tells each its NODE_RANK alone.
    return rank == "0" and os.environ.get("NODE_RANK", "0") == "0"


def are_several() -> bool:
    """Whether this is one of several processes that have met."""
    return distributed.is_available() and distributed.is_initialized()
