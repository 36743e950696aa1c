"""A clip in small for a dashboard: a sheet of its frames, and a video of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from savi.types import Frames
from savi.video.contact_sheet import contact_sheet
from savi.video.encode import encode
from savi.video.sampling import midpoint_indices

VideoFormat = Literal["mp4", "gif"]

MOST_FRAMES = 32
MOST_PIXELS = 256
"""Of the longer side of a video."""


@dataclass(frozen=True)
class Preview:
    """sheet: some frames side by side. videos: the sampled frames at the clip's own speed, the bytes by format."""

    sheet: Image.Image
    videos: Mapping[VideoFormat, bytes]


def preview(frames: Frames, formats: Sequence[VideoFormat]) -> Preview:
    """The preview of a clip. Its videos have at most MOST_FRAMES frames of at most MOST_PIXELS x MOST_PIXELS pixels."""
    total = len(frames.timestamps)
    chosen = list(range(total)) if total <= MOST_FRAMES else midpoint_indices(total, MOST_FRAMES)
    small = np.stack([_shrink(frames.pixels[index].numpy()) for index in chosen])
    times = [frames.timestamps[index] for index in chosen]
    seconds = (times[-1] - times[0]) / max(len(times) - 1, 1) or 1.0
    fps = Fraction(1 / seconds).limit_denominator(1000)
    return Preview(contact_sheet(frames), {name: ENCODERS[name](small, fps) for name in formats})


def _shrink(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A frame, (height, width, 3), within MOST_PIXELS, of even height and width as h264 wants them."""
    height, width = pixels.shape[:2]
    scale = min(1.0, MOST_PIXELS / max(height, width))
    size = [max(2, round(side * scale) // 2 * 2) for side in (width, height)]
    return np.asarray(Image.fromarray(pixels).resize((size[0], size[1]), Image.Resampling.BILINEAR))


def _mp4(frames: NDArray[np.uint8], fps: Fraction) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        encode(frames, container, fps)
    return file.getvalue()


def _gif(frames: NDArray[np.uint8], fps: Fraction) -> bytes:
    file = io.BytesIO()
    first, *others = (Image.fromarray(pixels) for pixels in frames)
    first.save(file, format="GIF", save_all=True, append_images=others, duration=round(1000 / fps), loop=0)
    return file.getvalue()


ENCODERS: dict[VideoFormat, Callable[[NDArray[np.uint8], Fraction], bytes]] = {"mp4": _mp4, "gif": _gif}
