"""Files decoded ahead of their use, in processes of their own."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from pathlib import Path

from savi.types import Excerpt, Frames
from savi.video.decode import UndecodableClip, decode
from savi.video.process import DecodeProcess
from savi.video.shrink import shrink


def decode_ahead(
    sources: Iterable[Path | Excerpt],
    count: int = 32,
    timeout: float = 60.0,
    workers: int = 2,
    most_pixels: int | None = None,
) -> Generator[Frames | UndecodableClip, None, None]:
    """Every file's frames, or why it has none, in the order of the sources.

    Each worker is one clip ahead and then waits, so at most `workers` decoded clips are held. They start with the
    first `next` and end with the iterator, or with the parent however it ends. A worker that hangs or crashes costs
    its clip (timeout: seconds) and is replaced. 0 workers: nothing is decoded ahead. most_pixels: larger frames are
    scaled down to it.
    """
    for outcome in _decode_ahead(sources, count, timeout, workers):
        yield outcome if isinstance(outcome, UndecodableClip) else shrink(outcome, most_pixels)


def _decode_ahead(
    sources: Iterable[Path | Excerpt], count: int, timeout: float, workers: int
) -> Iterator[Frames | UndecodableClip]:
    if workers == 0:
        for source in sources:
            try:
                yield decode(source, count, timeout)
            except UndecodableClip as error:
                yield error
        return
    remaining = iter(sources)
    busy: deque[DecodeProcess] = deque()
    try:
        for source in islice(remaining, workers):
            busy.append(DecodeProcess())
            busy[-1].submit(source, count, timeout)
        while busy:
            outcome = busy[0].collect()
            following = next(remaining, None)
            if following is None:
                busy.popleft().kill()
            else:
                busy[0].submit(following, count, timeout)
                busy.rotate(-1)
            yield outcome
    finally:
        for process in busy:
            process.kill()
