"""The images of a row of preference data as one file, which is read as a clip."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from savi.errors import SaviError
from savi.files import content_digest, digest_json
from savi.video.images import SUFFIX, pack_images, size_of


def image_clip(images: Sequence[Path], cache: Path | None) -> Path:
    """The file of a clip whose frames are these images, all of them, in their order.

    It is a copy, called by what is in the images. cache: the folder that holds it; by default savi_images/ next to the
    first of them. Raises ValueError for a file that is no image, and for images of different sizes. Raises SaviError
    where the copy can't be written.
    """
    sizes = {size_of(path) for path in images}
    if len(sizes) > 1:
        raise ValueError("its images have different sizes; savi shows them as the frames of one clip")
    folder = cache or images[0].parent / "savi_images"
    target = folder / f"{digest_json([content_digest(path) for path in images])}{SUFFIX}"
    if target.is_file():
        return target
    unfinished = target.with_suffix(f".{os.getpid()}")  # several processes may write it at once
    try:
        folder.mkdir(parents=True, exist_ok=True)
        pack_images(images, unfinished)
        unfinished.replace(target)
    except OSError as error:
        raise SaviError(f"data.cache: {target} can't be written ({error.strerror})") from None
    finally:
        unfinished.unlink(missing_ok=True)
    return target
