"""Exact frames out of a video file, with PyAV and NumPy alone, so that a decoding process starts in a moment.

Frame i is the i-th frame in the order of showing. Headers are not asked how many there are: a first pass
reads the packets without decoding them, and their presentation times, sorted, are the frames. A second pass
reads them again and feeds the decoder from the keyframe before each wanted frame up to it, and nothing else.
Neither pass seeks: a container's seek is where frame numbers go wrong, and reading is cheap compared with decoding.
The decoder's frames are compared with the packets. Where they disagree (no times or doubtful ones, invisible
frames, two fields in two packets, keyframes that aren't), the frames are counted by decoding from end to end.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any

import av.error
import numpy as np
from av.sidedata.sidedata import Type as SideData
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter

from savi.video.packets import Clock, DoubtfulTimesError, Scan, UnreadableError, open_video, scan
from savi.video.sampling import excerpt_indices, midpoint_indices
from savi.video.shrink import Pixels, shrink


@dataclass(frozen=True)
class Reading:
    """Sampled frames. pixels: uint8 (frames, height, width, 3), RGB, upright. Else as `savi.types.Frames`."""

    pixels: Pixels
    timestamps: tuple[float, ...]
    indices: tuple[int, ...]
    fps: float
    duration: float


def read_frames(
    path: Path,
    count: int,
    timeout: float,
    span: tuple[float, float] | None = None,
    most_pixels: int | None = None,
) -> Reading:
    """`count` frames of a file by the midpoint rule. Timestamps count from the first frame that is shown.

    span: start and end, in seconds, of the part to take them from. timeout: seconds of CPU time, looked at between
    packets. most_pixels: a larger frame is scaled down to it. One thread. One frame of the file's own size is in memory
    at a time, next to the scaled ones. Raises UnreadableError with the reason where the file gives none, or can't be
    decoded as far as they are.
    """
    clock = Clock(timeout)
    try:
        found = scan(path, clock)
        try:
            announced = found.presentation()
            indices = _pick(announced, found, count, span)
            pixels = _gather(_by_time(path, found, announced, indices, clock), indices, most_pixels)
            times: Sequence[float] = announced
        except DoubtfulTimesError:
            times = _counted_times(path, found, clock)
            indices = _pick(times, found, count, span)
            pixels = _gather(_by_counting(path, found, indices, clock), indices, most_pixels)
    except OSError as error:
        raise UnreadableError(f"can't be read: {error.strerror}") from error
    except av.error.FFmpegError as error:
        raise UnreadableError(f"can't be decoded: {error.strerror}") from error
    duration = _duration(times, found)
    seconds = tuple((times[i] - times[0]) * found.unit for i in indices)
    return Reading(pixels, seconds, tuple(indices), len(times) / duration, duration)


def _duration(times: Sequence[float], found: Scan) -> float:
    """Seconds from the first frame to the end of the last."""
    length = (times[-1] - times[0]) * found.unit
    return length + (found.last or (length / (len(times) - 1) if len(times) > 1 else 1 / found.rate))


def _pick(times: Sequence[float], found: Scan, count: int, span: tuple[float, float] | None) -> list[int]:
    """The frames to take. Raises UnreadableError where the file ends before the span begins."""
    if span is None:
        return midpoint_indices(len(times), count)
    try:
        return excerpt_indices(len(times), count, len(times) / _duration(times, found), span)
    except ValueError as error:
        raise UnreadableError(str(error)) from None


def _by_time(path: Path, found: Scan, times: list[int], indices: list[int], clock: Clock) -> Iterator[tuple[int, Any]]:
    """The wanted frames with their numbers, told by their times. Raises DoubtfulTimesError."""
    numbers = {times[index]: index for index in indices}
    stretches = _stretches(found, numbers)
    try:
        for which, group in groupby(_decode(path, found, stretches, clock), key=itemgetter(0)):
            for frame in _checked((frame for _, frame in group), found, *stretches[which]):
                if frame.pts in numbers:
                    yield numbers.pop(frame.pts), frame
    except av.error.InvalidDataError as error:
        raise DoubtfulTimesError from error
    if numbers:
        raise DoubtfulTimesError


def _stretches(found: Scan, wanted: Iterable[int]) -> list[tuple[int, int]]:
    """The runs of packets to decode, (first, last): from a keyframe up to a frame that is wanted.

    The keyframe is the last one that neither follows the frame in the file nor is shown after it: a frame
    that follows a keyframe and is shown before it (an open group of pictures) needs the group before.
    """
    positions = {sample.pts: i for i, sample in enumerate(found.samples) if sample.shown}
    keys = [i for i, sample in enumerate(found.samples) if sample.key]
    runs = []
    for last in (positions[pts] for pts in wanted):
        at = bisect_right(keys, last) - 1
        while at > 0 and not _shown_by(found, keys[at], last):
            at -= 1
        runs.append((keys[at], last))
    merged: list[tuple[int, int]] = []
    for first, last in sorted(runs):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def _shown_by(found: Scan, key: int, sample: int) -> bool:
    earlier, later = found.samples[key].pts, found.samples[sample].pts
    return earlier is not None and later is not None and earlier <= later


def _checked(frames: Iterator[Any], found: Scan, first: int, last: int) -> Iterator[Any]:
    """The frames of a stretch of packets, as long as they are whole and those that the packets announce."""
    key = found.samples[first]
    fed = found.samples[first : last + 1]
    times = (sample.pts for sample in fed if sample.shown)
    expected = iter(sorted(pts for pts in times if pts >= key.pts))  # type: ignore[operator, type-var]  # all have times
    opening = key.shown
    for frame in frames:
        if frame.pts != next(expected, None) or frame.is_corrupt or (opening and not _intra(frame)):
            raise DoubtfulTimesError
        opening = False
        yield frame
    if next(expected, None) is not None:
        raise DoubtfulTimesError


def _by_counting(path: Path, found: Scan, indices: list[int], clock: Clock) -> Iterator[tuple[int, Any]]:
    wanted = set(indices)
    for index, frame in enumerate(_all_frames(path, found, clock)):
        if index in wanted:
            yield index, frame


def _counted_times(path: Path, found: Scan, clock: Clock) -> list[float]:
    """When each frame is shown, in time base units, by decoding all; by the header's rate where times fail."""
    times = [frame.pts for frame in _all_frames(path, found, clock)]
    if not times:
        raise UnreadableError("no frames")
    timed = all(sample.pts is not None for sample in found.samples)
    if timed and all(a < b for a, b in pairwise(times)):
        return times
    return [index / (found.rate * found.unit) for index in range(len(times))]


def _all_frames(path: Path, found: Scan, clock: Clock) -> Iterator[Any]:
    """Every frame that the decoder shows. Raises UnreadableError at a damaged one."""
    everything = [(0, len(found.samples) - 1)]
    done = 0
    try:
        for _, frame in _decode(path, found, everything, clock):
            if frame.is_corrupt:
                raise UnreadableError(f"damaged: frame {done} is incomplete")
            done += 1
            yield frame
    except av.error.InvalidDataError as error:
        raise UnreadableError(f"damaged: decoding fails after {done} of {len(found.samples)} frames") from error


def _decode(path: Path, found: Scan, stretches: list[tuple[int, int]], clock: Clock) -> Iterator[tuple[int, Any]]:
    """The frames of some stretches of packets, each with the number of its stretch."""
    waiting = iter(enumerate(stretches))
    which, (first, last) = next(waiting)
    with open_video(path) as (container, stream):
        packets = (packet for packet in container.demux(stream) if packet.size)
        for position, packet in enumerate(packets, start=-found.skipped):
            clock.check()
            if position < first:
                continue
            for frame in stream.decode(packet):
                yield which, frame
            if position == last:
                for frame in stream.decode(None):
                    yield which, frame
                stream.codec_context.flush_buffers()
                which, (first, last) = next(waiting, (which, (len(found.samples), 0)))


def _intra(frame: Any) -> bool:
    return frame.pict_type == PictureType.I or (frame.pict_type == PictureType.NONE and frame.key_frame)


def _gather(frames: Iterator[tuple[int, Any]], indices: list[int], most_pixels: int | None) -> Pixels:
    """RGB pixels at each index. A frame of another size than the first one's is scaled to it, before all are shrunk."""
    pixels: Pixels | None = None
    size: dict[str, int] = {}
    converter = VideoReformatter()  # one for all frames: it sets up tables, which costs more than a small frame
    for index, frame in frames:
        size = size or {"width": frame.width, "height": frame.height}
        rgb = np.asarray(converter.reformat(frame, format="rgb24", threads=1, **size).to_ndarray(), np.uint8)
        image = shrink(upright(rgb, frame.side_data.get(SideData.DISPLAYMATRIX)), most_pixels)
        if pixels is None:
            pixels = np.empty((len(indices), *image.shape), np.uint8)
        pixels[[slot for slot, wanted in enumerate(indices) if wanted == index]] = image
    if pixels is None:
        raise UnreadableError("no frames")
    return pixels


def upright(image: Pixels, matrix: bytes | None) -> Pixels:
    """The image as the file wants it shown: turned by quarters and mirrored, as the display matrix says.

    matrix: nine int32 (ISO/IEC 14496-12, 6.2.2) by which x' = a·x + c·y and y' = b·x + d·y with a, b at
    0, 1 and c, d at 3, 4. Other angles go to the nearest quarter.
    """
    if matrix is None:
        return image
    a, b, _, c, d = np.frombuffer(matrix, np.int32, 5).tolist()
    if abs(b) > abs(a):
        image, a, d = image.swapaxes(0, 1), c, b
    return image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
