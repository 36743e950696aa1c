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
    segment = (n_frames - 1) / count
    return [int(segment / 2 + round(segment * i)) for i in range(count)]
