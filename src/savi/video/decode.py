"""One video file to its sampled frames.

PyAV decodes, not torchcodec. Weighed in November 2026, PyAV 18.1 against torchcodec 0.17 on one FFmpeg: they take the
same time, but torchcodec's wheels need FFmpeg's shared libraries installed as well, and it gave wrong frames for
MPEG-TS, MPEG-PS and AVI files with B-frames, and frames where a file is cut short.
"""

from __future__ import annotations

import atexit
import os
import threading
from functools import cache
from pathlib import Path

from savi.types import Excerpt, Frames
from savi.video.process import DecodeProcess, UndecodableClip

__all__ = ["UndecodableClip", "decode"]


def decode(source: Path | Excerpt, count: int = 32, timeout: float = 60.0, most_pixels: int | None = None) -> Frames:
    """`count` frames of a file, or a part of it, by the midpoint rule, upright, with their timestamps.

    timeout: seconds of CPU time; it holds even where the C library hangs or crashes, since a process of its own
    decodes. It is kept for the next call. most_pixels: larger frames are scaled down to it, each as it is decoded.
    Raises UndecodableClip. Many files go faster through `savi.video.prefetch.decode_ahead`.
    """
    process = _process(os.getpid(), threading.get_ident())
    try:
        process.submit(source, count, timeout, most_pixels)
        outcome = process.collect()
    except BaseException:
        process.kill()  # an interrupted call's frames must not become the next call's
        raise
    if isinstance(outcome, UndecodableClip):
        raise outcome
    return outcome


@cache
def _process(pid: int, thread: int) -> DecodeProcess:
    """The process that decodes for one thread of one process: a fork must not share its parent's."""
    process = DecodeProcess()
    atexit.register(process.kill)
    return process
