"""Decoded frames kept on disk, so that a file is decoded once for all rounds, and for later runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import PIL
import torch

from savi.cache import BoundedFolder, code_digest, open_bounded
from savi.errors import check_number
from savi.files import FileIdentity, identify
from savi.types import Excerpt, Frames

SUFFIX = ".frames"

DECODED_BY = (av.__version__, PIL.__version__, code_digest("video"))
"""For keys of what is made of frames: other decoders give other pixels."""


@dataclass(frozen=True)
class FrameCacheSettings:
    """Where the frames of decoded clips are kept, so that each video is decoded once for all rounds."""

    gib: float = 32.0
    """Disk space for decoded frames, in GiB. A clip takes frames x height x width x 3 bytes: 21 MiB for 32 frames of
    640 x 360, so that the default has room for 1,500 clips. A tenth of the disk, at most 16 GiB, always stays free.
    When it is full, frames that no run has used since this one began make room; further clips are decoded in each
    round. 0: nothing is kept."""

    folder: str | None = None
    """Folder for them. Runs may share it. None: `frames` in data.cache."""

    def __post_init__(self) -> None:
        check_number("data.frame_cache.gib", self.gib, least=0)


def open_frame_cache(
    settings: FrameCacheSettings, cache: Path, count: int, most_pixels: int | None
) -> FrameCache | None:
    """None where nothing is to be kept. cache: the folder for all that can be made again.

    Raises SaviError for a folder that was named and can't be made, or can't be written.
    """
    folder = open_bounded("data.frame_cache", settings.gib, settings.folder, cache / "frames", SUFFIX)
    return FrameCache(folder, count, most_pixels) if folder else None


class FrameCache:
    """Frames by the file that they were read from, and by how they were sampled and scaled down.

    A replaced file is another file, even with the same size and date. Threads and processes may share it.
    """

    def __init__(self, folder: BoundedFolder, count: int, most_pixels: int | None) -> None:
        """count, most_pixels: frames of a clip, and most pixels of each."""
        self.folder = folder
        self._sampled = (*DECODED_BY, count, most_pixels)

    def get(self, source: Path | Excerpt) -> Frames | None:
        """The frames of a file or a part of it; None where they aren't there."""
        file, span = _identity(source)
        if file is None or (data := self.folder.read(self._key(file, span))) is None:
            return None
        return _frames(data, file, span)

    def add(self, frames: Frames) -> None:
        """Keep frames that were read from a file, as far as there is room."""
        if frames.file is not None:
            self.folder.write(self._key(frames.file, frames.span), frames.pixels.nbytes, _parts(frames))

    def _key(self, file: FileIdentity, span: tuple[float, float] | None) -> tuple[object, ...]:
        return (*self._sampled, *file, span)


def _identity(source: Path | Excerpt) -> tuple[FileIdentity | None, tuple[float, float] | None]:
    return (identify(source.path), source.span) if isinstance(source, Excerpt) else (identify(source), None)


def _parts(frames: Frames) -> Iterator[bytes | memoryview]:
    """The size of the header in 4 bytes, the header, and the pixels."""
    header = {
        "shape": tuple(frames.pixels.shape),
        "timestamps": frames.timestamps,
        "indices": frames.indices,
        "fps": frames.fps,
        "duration": frames.duration,
    }
    line = json.dumps(header).encode()
    yield len(line).to_bytes(4, "big")
    yield line
    yield frames.pixels.contiguous().numpy().data


def _frames(data: memoryview, file: FileIdentity, span: tuple[float, float] | None) -> Frames:
    end = 4 + int.from_bytes(data[:4], "big")
    header = json.loads(bytes(data[4:end]))
    pixels = torch.frombuffer(data, dtype=torch.uint8, offset=end).view(header["shape"])
    timestamps, indices = tuple(header["timestamps"]), tuple(header["indices"])
    return Frames(pixels, timestamps, indices, header["fps"], header["duration"], span, file)
