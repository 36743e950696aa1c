"""Large frames made smaller: what bounds the visual tokens of families that read any size.

Pillow, not torch: a decoding process shrinks each frame as it comes, and starts without torch. The two agree but for
rounding: values differ by at most 1 of 255, in at most 2 of 100 pixels.
"""

from __future__ import annotations

from math import floor, sqrt

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

SHRUNK_BY = "shrunk by Pillow"
"""For keys of what is made of frames: other arithmetic gives other values."""


def shrink(image: Pixels, most_pixels: int | None) -> Pixels:
    """An RGB image, uint8 (height, width, 3), scaled down to at most `most_pixels` (None: no bound), its shape kept."""
    height, width = image.shape[:2]
    if most_pixels is None or height * width <= most_pixels:
        return image
    scale = sqrt(most_pixels / (height * width))
    size = max(1, floor(width * scale)), max(1, floor(height * scale))
    # The filter is widened with the scale, so that every pixel of the large image counts.
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR), np.uint8)
