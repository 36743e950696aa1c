"""Files decoded ahead of their use, in processes of their own."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any
from weakref import WeakSet

from savi.types import Excerpt, Frames
from savi.video.decode import UndecodableClip, decode
from savi.video.frame_cache import FrameCache
from savi.video.lookahead import Lookahead
from savi.video.process import DecodeProcess

ROOM = 2 * 2**30
"""Bytes of decoded frames, and of what a processor makes of them, that wait for the model. Frames alone: 97 clips of 32
frames of 640 x 360, or two of 3840 x 2160."""


def decode_ahead(
    sources: Iterable[Any],
    count: int = 32,
    timeout: float = 60.0,
    workers: int = 2,
    most_pixels: int | None = None,
    ahead: int | None = None,
    cache: FrameCache | None = None,
    prepare: Callable[[Frames], Frames] | None = None,
) -> Generator[Any, None, None]:
    """The frames of every file (a Path or an Excerpt), or why it has none, in the order of the sources.

    What else is among the sources comes through as it is. `ahead` of them (None: one for each worker) are looked at
    before they are asked for, as far as their frames fit into `ROOM`; in other threads, where there are workers. The
    workers start with the first `next` and end with the iterator, or with the parent however it ends. A worker that
    hangs or crashes costs its clip (timeout: seconds of CPU time) and is replaced. 0 workers: nothing is decoded ahead.
    most_pixels: larger frames are scaled down to it. cache: has frames that were decoded before, and keeps new ones.
    prepare: what else to do with frames ahead of their use, in the same threads.
    """
    if workers == 0:
        yield from _decode_now(sources, (count, timeout, most_pixels), cache)
        return
    pool = _Pool(sources, ahead or workers, (count, timeout, most_pixels), cache, prepare)
    try:
        pool.start(workers)
        yield from pool.outcomes()
    finally:
        pool.close()


_open: WeakSet[_Pool] = WeakSet()

Asked = tuple[int, float, int | None]
"""Frames of a clip, seconds that it may take, and most pixels of a frame."""


def _decode_now(sources: Iterable[Any], asked: Asked, cache: FrameCache | None) -> Iterator[Any]:
    for source in sources:
        yield _outcome(source, cache, lambda file: _or_error(file, asked))


def _or_error(source: Path | Excerpt, asked: Asked) -> Frames | UndecodableClip:
    try:
        return decode(source, *asked)
    except UndecodableClip as error:
        return error


def _outcome(
    source: Any, cache: FrameCache | None, decode: Callable[[Path | Excerpt], Frames | UndecodableClip]
) -> Any:
    """What comes of a source: kept frames, decoded ones, or the source itself where it is no file."""
    if not isinstance(source, Path | Excerpt):
        return source
    if cache is None:
        return decode(source)
    kept = cache.get(source)
    if kept is not None:
        return kept
    outcome = decode(source)
    if isinstance(outcome, Frames):
        cache.add(outcome)
    return outcome


@atexit.register
def _close_all() -> None:
    """End the threads of forgotten iterators before the interpreter freezes them: from Python 3.14 on, an iterator that
    is closed later would wait for them for ever."""
    for pool in list(_open):
        pool.close()


class _Pool:
    """Threads with a decoding process each. They share a look-ahead, and wait where it lets nothing begin."""

    def __init__(
        self,
        sources: Iterable[Any],
        ahead: int,
        asked: Asked,
        cache: FrameCache | None,
        prepare: Callable[[Frames], Frames] | None,
    ) -> None:
        self._lookahead: Lookahead[Any, Any] = Lookahead(sources, ahead, ROOM)
        self._asked = asked
        self._cache = cache
        self._prepare = prepare
        self._changed = threading.Condition()
        self._closed = False
        self._error: BaseException | None = None
        self._processes: list[DecodeProcess] = []
        self._threads: list[threading.Thread] = []
        _open.add(self)

    def start(self, workers: int) -> None:
        for _ in range(workers):
            # A daemon: an iterator that somebody forgot must not keep the program from ending.
            self._threads.append(threading.Thread(target=self._work, daemon=True, name="decoding"))
            self._threads[-1].start()

    def outcomes(self) -> Iterator[Any]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._error or self._lookahead.ready or self._lookahead.exhausted)
                if self._error:
                    raise self._error
                if not self._lookahead.ready:
                    return
                outcome = self._lookahead.take()
                self._changed.notify_all()
            yield outcome

    def close(self) -> None:
        """End the processes and the threads."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            while thread.is_alive():
                for process in list(self._processes):
                    process.interrupt()
                thread.join(0.05)

    def _work(self) -> None:
        process: DecodeProcess | None = None

        def decode(source: Path | Excerpt) -> Frames | UndecodableClip:
            nonlocal process
            if process is None:  # where the frames of all clips are kept, none is started
                process = DecodeProcess()
                self._processes.append(process)
            process.submit(source, *self._asked)
            return process.collect()

        try:
            while (begun := self._begin()) is not None:
                number, source = begun
                outcome = _outcome(source, self._cache, decode)
                if isinstance(outcome, Frames) and self._prepare:
                    outcome = self._prepare(outcome)
                nbytes = outcome.nbytes if isinstance(outcome, Frames) else 0
                with self._changed:
                    self._lookahead.finish(number, outcome, nbytes)
                    self._changed.notify_all()
        except BaseException as error:
            with self._changed:
                self._error = self._error or error
                self._changed.notify_all()
        finally:
            if process is not None:
                process.kill()

    def _begin(self) -> tuple[int, Any] | None:
        """The next source, as soon as one may begin. None where there are no more."""
        with self._changed:
            while not self._closed and not self._error:
                if (begun := self._lookahead.begin()) is not None:
                    return begun
                if self._lookahead.ended:
                    self._changed.notify_all()
                    return None
                self._changed.wait()
            return None
