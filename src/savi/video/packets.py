"""The packets of a video file, read without decoding: which frames there are and when each is shown."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import dropwhile, pairwise
from pathlib import Path
from typing import Any

import av
import av.error
from av.stream import Disposition

from savi.video.structure import shortfall

# No playlists, still images or text, which FFmpeg would open as videos, and nothing from the network.
_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": (
        "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,flv,asf,gif,ogg,nut,mxf,dv,ivf"
    ),
}


class UnreadableError(Exception):
    """The file gives no frames; the text says why."""


class DoubtfulTimesError(Exception):
    """The packets don't say which frame is which."""


class Clock:
    """The time limit of one file: seconds of work, in CPU time of this thread, from now.

    By the clock on the wall, a file would be left out of a run because other jobs kept the machine busy.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._end = time.thread_time() + limit

    def check(self) -> None:
        """Raises UnreadableError when the time is up."""
        if time.thread_time() > self._end:
            raise UnreadableError(f"took longer than {self._limit:g} s")


@dataclass(frozen=True, slots=True)
class Sample:
    """One packet. pts: when it is shown, in time base units. shown: False where an edit list cuts it off."""

    pts: int | None
    key: bool
    shown: bool


@dataclass(frozen=True)
class Scan:
    """All packets of the video stream, in the order of decoding.

    skipped: packets before `samples`, which depend on a keyframe that the file doesn't hold.
    unit: seconds of a time base unit. last: seconds that the last packet says it stays, 0 where it doesn't.
    rate: frames per second as the header has it, for files whose packets have no times.
    """

    skipped: int
    samples: list[Sample]
    unit: float
    last: float
    rate: float

    def presentation(self) -> list[int]:
        """The times of the frames in the order of showing. Raises DoubtfulTimesError where there are no two alike.

        Frames shown before the first keyframe depend on one that the file doesn't hold: they don't count.
        """
        start = self.samples[0].pts
        shown = [sample.pts for sample in self.samples if sample.shown]
        times = sorted(pts for pts in shown if pts is not None and start is not None and pts >= start)
        if start is None or None in shown or not times or any(a == b for a, b in pairwise(times)):
            raise DoubtfulTimesError
        return times


@contextmanager
def open_video(path: Path) -> Iterator[tuple[Any, Any]]:
    """The container and its video stream, set to decode in one thread. Raises UnreadableError."""
    try:
        # "file:" keeps a colon in a name from being read as a protocol; old files' metadata may not be UTF-8.
        container = av.open(f"file:{path}", options=_OPTIONS, metadata_errors="replace")
    except (av.error.InvalidDataError, av.error.ArgumentError) as error:
        raise UnreadableError("not a video") from error
    with container:
        streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not streams:
            raise UnreadableError("audio only" if container.streams.audio else "no video stream")
        if streams[0].codec_context is None:
            raise UnreadableError("no decoder for its video stream")
        streams[0].codec_context.thread_count = 1
        yield container, streams[0]


def scan(path: Path, clock: Clock) -> Scan:
    """Read every packet of the video stream. Raises UnreadableError, for a file that is cut short too."""
    _check_bytes(path)
    samples: list[Sample] = []
    duration, cut = 0, False
    with open_video(path) as (container, stream):
        for packet in container.demux(stream):
            clock.check()
            if not packet.size:
                continue
            samples.append(Sample(packet.pts, packet.is_keyframe, not packet.is_discard))
            duration, cut = packet.duration or 0, packet.is_corrupt
        listed = len(stream.index_entries) if "mov" in container.format.name else 0
        unit = float(stream.time_base)
        rate = float(stream.average_rate or stream.guessed_rate or 1)
    if listed > len(samples):
        raise UnreadableError(f"truncated: its index lists {listed} frames, {len(samples)} are there")
    if cut:
        raise UnreadableError("truncated: its last frame is cut off")
    decodable = list(dropwhile(lambda sample: not sample.key, samples))
    if not decodable:
        raise UnreadableError("no frames")
    return Scan(len(samples) - len(decodable), decodable, unit, duration * unit, rate)


def _check_bytes(path: Path) -> None:
    if not path.exists():
        raise UnreadableError("no such file")
    if not path.is_file():
        raise UnreadableError("not a file")
    if path.stat().st_size == 0:
        raise UnreadableError("empty file")
    if reason := shortfall(path):
        raise UnreadableError(f"truncated: {reason}")
