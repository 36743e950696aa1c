"""Images in the place of a video: one file that holds all of them, read as a clip with one frame a second."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from savi.video.packets import UnreadableError
from savi.video.reader import Reading
from savi.video.shrink import shrink

SUFFIX = ".images"
"""Of the files that hold images, stored in a zip archive in their order."""

FPS = 1.0
"""Images have no time: the frames of such a clip are a second apart."""

ORIENTATION = 0x0112
"""The EXIF tag that says how an image is turned. From 5 on, its sides are exchanged."""


def pack_images(images: Sequence[Path], target: Path) -> None:
    """Write the file of some images."""
    with zipfile.ZipFile(target, "w") as archive:
        for index, image in enumerate(images):
            # A date of its own would give the same images other bytes.
            archive.writestr(zipfile.ZipInfo(f"{index:06}{image.suffix}"), image.read_bytes())


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of an image as it is shown. Raises ValueError for a file that isn't one image."""
    try:
        with Image.open(path) as image:
            if getattr(image, "n_frames", 1) > 1:
                raise ValueError(f"{path.name} is animated; name it as a video")
            width, height = image.size
            # Pillow decodes a PNG to look for EXIF, which hardly any PNG has.
            turned = image.format != "PNG" and image.getexif().get(ORIENTATION, 1) >= 5
            return (height, width) if turned else (width, height)
    except (OSError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path.name} is no image that can be read ({error})") from None


def read_images(path: Path, most_pixels: int | None = None) -> Reading:
    """All images of such a file, upright, RGB, scaled down to `most_pixels`. Raises UnreadableError."""
    frames = []
    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            try:
                with archive.open(name) as file, Image.open(file) as image:
                    upright: Any = ImageOps.exif_transpose(image)
                    frames.append(shrink(np.asarray(upright.convert("RGB")), most_pixels))
            except OSError as error:
                raise UnreadableError(f"image {int(Path(name).stem) + 1} can't be decoded: {error}") from None
    count = len(frames)
    return Reading(np.stack(frames), tuple(i / FPS for i in range(count)), tuple(range(count)), FPS, count / FPS)
