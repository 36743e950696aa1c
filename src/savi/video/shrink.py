"""Large frames made smaller: what bounds the visual tokens of families that read any size."""

from __future__ import annotations

from dataclasses import replace
from math import floor, sqrt

from torch.nn.functional import interpolate

from savi.types import Frames


def shrink(frames: Frames, most_pixels: int | None) -> Frames:
    """The frames, scaled down alike so that one has at most `most_pixels` (None: no bound), its shape kept."""
    height, width = frames.pixels.shape[1:3]
    if most_pixels is None or height * width <= most_pixels:
        return frames
    scale = sqrt(most_pixels / (height * width))
    size = max(1, floor(height * scale)), max(1, floor(width * scale))
    small = interpolate(frames.pixels.permute(0, 3, 1, 2), size, mode="bilinear", antialias=True)
    return replace(frames, pixels=small.permute(0, 2, 3, 1).contiguous())
