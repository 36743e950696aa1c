"""Pictures and small videos of clips, made in a process of their own: a damaged file may crash the decoder."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from fractions import Fraction
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import av
import av.error
import numpy as np
from av.sidedata.sidedata import Type as SideData
from PIL import Image

from savi.files import content_digest, replacing
from savi.video.packets import Clock, DoubtfulTimesError, UnreadableError, open_video, scan
from savi.video.reader import read_frames, upright
from savi.video.sampling import midpoint_indices

POSTER = 240
"""Largest side of a poster, in pixels."""

SMALL = 360
"""Largest height of a small video, in pixels."""

LIMIT = 60.0
"""Seconds for one file."""

PLAYED = {"mp4": {"h264"}, "webm": {"vp8", "vp9", "av1"}}
"""The codecs that browsers play, by container."""


def probe(path: Path, frames: int) -> dict[str, Any]:
    """What the player has to know: seconds, frame rate, the times of the sampled frames, and the file's own container
    where a browser plays it ("mp4", "webm" or None). Raises UnreadableError."""
    found = scan(path, Clock(LIMIT))
    try:
        ticks = found.presentation()
        times = [(tick - ticks[0]) * found.unit for tick in ticks]
    except DoubtfulTimesError:
        times = [number / found.rate for number in range(len(found.samples))]
    duration = times[-1] + (found.last or 1 / found.rate)
    sampled = [round(times[index], 3) for index in midpoint_indices(len(times), frames)]
    return {"duration": round(duration, 3), "fps": len(times) / duration, "times": sampled, "plays": _plays(path)}


def _plays(path: Path) -> str | None:
    with open_video(path) as (container, stream):
        codec, pixels = stream.codec_context.name, stream.codec_context.pix_fmt
        for kind, codecs in PLAYED.items():
            if path.suffix.lower() == f".{kind}" and kind in _formats(container) and codec in codecs:
                return kind if pixels in ("yuv420p", "yuvj420p") else None
    return None


def _formats(container: Any) -> str:
    return str(container.format.name)


def write_poster(path: Path, output: Path) -> None:
    """A JPEG of the frame in the middle. Raises UnreadableError."""
    picture = Image.fromarray(read_frames(path, 1, LIMIT).pixels[0])
    picture.thumbnail((POSTER, POSTER))
    with replacing(output) as unfinished:
        picture.save(unfinished, format="JPEG", quality=80)


def write_small(path: Path, output: Path) -> None:
    """An mp4 (h264, 8 bit, no sound) that every browser plays, at most SMALL pixels high. Raises UnreadableError."""
    clock = Clock(LIMIT)
    with (
        replacing(output) as unfinished,
        av.open(str(unfinished), "w", format="mp4") as target,
        open_video(path) as (container, source),
    ):
        rate = Fraction(source.average_rate or 25)
        stream = target.add_stream("libx264", rate=rate, options={"preset": "veryfast", "crf": "26"})
        unit = stream.codec_context.time_base = source.time_base or 1 / rate
        scale = min(1.0, SMALL / source.codec_context.height)
        size = [max(2, round(side * scale)) for side in (source.codec_context.width, source.codec_context.height)]
        first, last = None, -1
        for number, frame in enumerate(container.decode(source)):
            clock.check()
            image = upright(frame.reformat(*size, "rgb24").to_ndarray(), frame.side_data.get(SideData.DISPLAYMATRIX))
            if number == 0:
                first = frame.pts
                # Chroma is stored for squares of four pixels: sides are even.
                stream.height, stream.width = (side - side % 2 for side in image.shape[:2])
                stream.pix_fmt = "yuv420p"
            # A frame is shown when the original shows it. A file without times has one rate.
            when = round(number / rate / unit) if None in (first, frame.pts) else frame.pts - first
            last = max(last + 1, when)
            small = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            small.pts, small.time_base = last, unit
            target.mux(stream.encode(small))
        target.mux(stream.encode())


Place = tuple[Path | None, str]
"""A video's file, None where it isn't there, and what is said then."""


class Media:
    """Makes and keeps posters and small videos. cache: the folder for them."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self._lock = Lock()
        self._pool: ProcessPoolExecutor | None = None

    def probe(self, video: Path, frames: int) -> dict[str, Any]:
        """As probe(). Raises UnreadableError."""
        found: dict[str, Any] = self._call(probe, video, frames)
        return found

    def player(self, video: Path | None, gone: str, frames: int) -> dict[str, Any]:
        """What the player has to know of a video, or why there is nothing to play. gone: said where it isn't there."""
        if video is None:
            return {"problem": gone}
        try:
            return self.probe(video, frames)
        except UnreadableError as error:
            return {"problem": f"the video can't be shown: {error}"}

    def poster(self, video: Path) -> Path:
        """The file of a video's poster. Raises UnreadableError."""
        return self._made(video, "jpg", write_poster)

    def small(self, video: Path) -> Path:
        """The file of a small copy. Raises UnreadableError."""
        return self._made(video, "mp4", write_small)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _made(self, video: Path, suffix: str, make: Any) -> Path:
        digest = content_digest(video)
        if digest is None:
            raise UnreadableError("no such file")
        path = self.cache / f"{digest}.{suffix}"
        if not path.is_file():
            self._call(make, video, path)
        return path

    def _call(self, work: Any, *arguments: Any) -> Any:
        with self._lock:
            if self._pool is None:
                # Not a fork: the server has threads.
                self._pool = ProcessPoolExecutor(1, get_context("spawn"), initializer=_end_with_parent)
            pool = self._pool
        try:
            return pool.submit(_careful, work, *arguments).result(timeout=2 * LIMIT)
        except BrokenProcessPool:
            with self._lock:
                self._pool = None
            raise UnreadableError("the decoder crashed") from None
        except TimeoutError:
            raise UnreadableError(f"took longer than {2 * LIMIT:g} s") from None


def _end_with_parent() -> None:
    """A killed server leaves no process behind."""
    parent = parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
        os._exit(0)

    Thread(target=wait, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's to handle


def _careful(work: Any, *arguments: Any) -> Any:
    """Raises UnreadableError, which can be sent to the parent, for whatever a file does to the decoder."""
    try:
        return work(*arguments)
    except (OSError, av.error.FFmpegError, ValueError, MemoryError) as error:
        raise UnreadableError(f"{type(error).__name__}: {error}") from None
