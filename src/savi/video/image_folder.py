"""Frames that a benchmark hands out as a folder of numbered images instead of a video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from savi.video.packets import UnreadableError
from savi.video.reader import Reading
from savi.video.sampling import excerpt_indices
from savi.video.shrink import Pixels, shrink

SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})


def read_image_folder(
    path: Path, count: int, fps: float, span: tuple[float, float] | None = None, most_pixels: int | None = None
) -> Reading:
    """`count` of a folder's images by the midpoint rule, in the order of their names, numbered from 1.

    fps: images a second. span: seconds; None for all. An image of another size than the first is scaled to it, before
    all are scaled down to `most_pixels`.
    Raises UnreadableError.
    """
    names = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if not names:
        raise UnreadableError("no images in the folder")
    try:
        indices = excerpt_indices(len(names), count, fps, span or (0, len(names) / fps), first=1)
    except ValueError as error:
        raise UnreadableError(str(error)) from None
    images: dict[int, Pixels] = {}
    size: tuple[int, int] | None = None
    for index in indices:
        if index not in images:
            image = _open(names[index - 1])
            size = size or image.size
            images[index] = shrink(np.asarray(image if image.size == size else image.resize(size)), most_pixels)
    pixels = np.stack([images[index] for index in indices])
    seconds = tuple((index - 1) / fps for index in indices)
    return Reading(pixels, seconds, tuple(index - 1 for index in indices), fps, len(names) / fps)


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise UnreadableError(f"{path.name}: {error}") from None
