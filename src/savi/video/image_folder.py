"""Frames that a benchmark hands out as a folder of numbered images instead of a video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from savi.video.packets import UnreadableError
from savi.video.reader import Reading
from savi.video.sampling import excerpt_indices

SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})


def read_image_folder(path: Path, count: int, fps: float, span: tuple[float, float] | None = None) -> Reading:
    """`count` of a folder's images by the midpoint rule, in the order of their names, numbered from 1.

    fps: images a second. span: seconds; None for all. An image of another size than the first is scaled to it.
    Raises UnreadableError.
    """
    names = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if not names:
        raise UnreadableError("no images in the folder")
    try:
        indices = excerpt_indices(len(names), count, fps, span or (0, len(names) / fps), first=1)
    except ValueError as error:
        raise UnreadableError(str(error)) from None
    images: dict[int, Image.Image] = {}
    for index in indices:
        if index not in images:
            images[index] = _open(names[index - 1])
    size = images[indices[0]].size
    pixels = np.stack([np.asarray(images[i] if images[i].size == size else images[i].resize(size)) for i in indices])
    seconds = tuple((index - 1) / fps for index in indices)
    return Reading(pixels, seconds, tuple(index - 1 for index in indices), fps, len(names) / fps)


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise UnreadableError(f"{path.name}: {error}") from None
