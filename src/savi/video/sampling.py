"""Which frames of a clip are looked at: pure index arithmetic, no video in sight."""

from __future__ import annotations


def midpoint_indices(n_frames: int, count: int) -> list[int]:
    """The frame in the middle of each of `count` equal segments, rising, from 0 to n_frames - 1.

    The rule is the one that InternVL's `get_index` and lmms-eval's loaders use, kept to the bit so that a
    model sees the frames it was trained on: with last = n_frames - 1 and seg = last / count,
    frame i is int(seg / 2 + round(seg * i)), where round takes a half to the even side.

    A clip of fewer frames than `count` shows some of them more than once; the rule gives that by itself.
    Raises ValueError where there is no frame to take, or none is asked for.
    """
    if n_frames < 1 or count < 1:
        raise ValueError(f"cannot take {count} of {n_frames} frames: both must be at least 1")
    return _midpoints(0, n_frames - 1, count)


def excerpt_indices(n_frames: int, count: int, rate: float, span: tuple[float, float], first: int = 0) -> list[int]:
    """The same within a part of a clip, as MVBench's own loader does it.

    span: seconds; rate: frames per second. It goes from frame round(start * rate) to round(end * rate), within the
    clip. first: the number of the clip's first frame, 1 where images are numbered so; the frames come numbered alike.
    Raises ValueError where no frame lies in the span.
    """
    start = max(first, round(span[0] * rate))
    end = min(round(span[1] * rate), first + n_frames - 1)
    if start > end or count < 1:
        raise ValueError(f"no frame between {span[0]:g} and {span[1]:g} s")
    return _midpoints(start, end, count)


def _midpoints(start: int, end: int, count: int) -> list[int]:
    segment = (end - start) / count
    return [int(start + segment / 2 + round(segment * i)) for i in range(count)]
