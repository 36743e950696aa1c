"""What ends a command with one line, and the check of numbers that a user sets."""

from __future__ import annotations

import io
import math
import os
import shutil
from traceback import walk_tb


class SaviError(Exception):
    """A user's mistake. The command line prints its one line, without a traceback, and exits with 2."""


class NonFiniteError(SaviError):
    """A loss, a gradient or a log-probability is infinite or not a number, so nothing may be made of it."""


class SettingError(SaviError):
    """A setting that can't be used.

    name: as its class knows it. The command line puts the rest of the key in front. reason: "must be ..., not ...".
    """

    def __init__(self, name: str, value: float, reason: str) -> None:
        super().__init__(name, value, reason)
        self.name = name
        self.value = value
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.name} {self.reason}"


LARGEST = 1e30
"""Largest number that a setting may be: products with it have to stay below float32's largest number, 3.4e38."""


def describe_os_error(error: OSError) -> str:
    """What the system refused, in one line: the file and the cause."""
    if isinstance(error, shutil.Error):  # of a folder's copy: (source, target, cause) of each file
        _, target, cause = error.args[0][0]
        return f"{target}: {cause}"
    name = error.filename2 or error.filename or _open_file(error)
    cause = error.strerror or " ".join(str(error).split()) or type(error).__name__
    if isinstance(name, str | bytes):
        return f"{os.fsdecode(name)}: {cause}"
    return f"{cause} (SAVI_DEBUG=1 shows where)"


def _open_file(error: OSError) -> str | None:
    """The file that the innermost function had open: an error from writing (a full disk, say) doesn't name its file."""
    for frame, _ in reversed(list(walk_tb(error.__traceback__))):
        for value in frame.f_locals.values():
            if isinstance(value, io.IOBase) and isinstance(name := getattr(value, "name", None), str):
                return name
    return None


def check_number(
    name: str,
    value: float,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    finite: bool = True,
) -> None:
    """Raises SettingError for a number outside its bounds, of which each may be left out.

    NaN is never accepted; infinities, and numbers that float32 can't calculate with, with finite=False only.
    """
    lower = f"above {above}" if above is not None else None if least is None else f"at least {least}"
    upper = f"below {below}" if below is not None else None if most is None else f"at most {most}"
    bounds = " and ".join(bound for bound in (lower, upper) if bound)
    inside = (
        (least is None or value >= least)
        and (above is None or value > above)
        and (most is None or value <= most)
        and (below is None or value < below)
    )
    if not inside or math.isnan(value):
        raise SettingError(name, value, f"must be {bounds or 'a number'}, not {value}")
    if finite and abs(value) > LARGEST:
        raise SettingError(name, value, f"must be finite and at most {LARGEST}, not {value}")
