"""The processes of a command before they have met: the launcher and the launched look at each other."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from subprocess import Popen
from typing import Any

from savi.distributed.failures import LAUNCHER
from savi.distributed.watch import Watch, end

POLL = 0.5
"""Seconds between two looks at a launcher, or at the processes that were launched."""
SETTLING = 1.0
"""Seconds in which the watch learns that another process has died."""
PATIENCE = 5.0
"""Seconds that a process leaves to the one that shows the line on its machine."""

Met = Callable[[], Watch | None]
"""The watch of this process, None as long as the processes haven't met."""


def look_after(launcher: Any, met: Met) -> None:
    """Of the launcher: end with a launched process that doesn't come as far as the meeting.

    launcher: Lightning's, whose `procs` are the processes that it has launched so far.
    """
    while met() is None:
        launched = [process for process in getattr(launcher, "procs", []) if isinstance(process, Popen)]
        for rank, process in enumerate(launched, start=1):
            if code := process.poll():
                for other in launched:
                    other.kill()
                # Code 2 comes after a line.
                end("" if code == 2 else f"process {rank} has ended while it started (exit code {code})")
        time.sleep(POLL)


def follow(launcher: int, met: Met) -> None:
    """Of a launched process: end with the launcher. launcher: its process id."""
    while os.getppid() == launcher:
        time.sleep(POLL)
    speaks = os.environ["LOCAL_RANK"] == ("1" if LAUNCHER in os.environ else "0")
    time.sleep(SETTLING if speaks else PATIENCE)
    line = "the command that has started this process has died" if speaks else ""
    if (watch := met()) and line:
        watch.end(line)
    end(line)


def launched_by() -> int | None:
    """The process id of the savi command or the torchrun that has launched this process, None if neither has."""
    if "LOCAL_RANK" not in os.environ:
        return None
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return os.getppid()
    return int(os.environ[LAUNCHER]) if LAUNCHER in os.environ else None
