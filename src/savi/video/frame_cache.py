"""Decoded frames kept on disk, so that a file is decoded once for all rounds, and for later runs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import threading
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import PIL
import torch

from savi.errors import SaviError, check_number
from savi.types import Excerpt, FileIdentity, Frames, identify

SUFFIX = ".frames"

UNFINISHED = ".unfinished"

OURS = re.compile(rf"[0-9a-f]{{32}}({SUFFIX}|-\d+-\d+{UNFINISHED})")
"""Names of what may be removed from the folder. All else in it is the user's."""

LEAST_FREE = 0.1
"""Share of a disk that is left free: checkpoints have to find room, too."""

CHECKED = 64
"""The folder is measured anew when this process has added so small a part of its room, one of 64. So many processes can
share the folder and stay within the bound together, but for a clip of each."""

ABANDONED = 3600.0
"""Seconds after which a file that was begun is taken for that of a process that was killed."""


@dataclass(frozen=True)
class FrameCacheSettings:
    """Where the frames of decoded clips are kept, so that each video is decoded once for all rounds."""

    gib: float = 32.0
    """Disk space for decoded frames, in GiB. A clip takes frames x height x width x 3 bytes: 21 MiB for 32 frames of
    640 x 360, so that the default has room for 1,500 clips. A tenth of the disk always stays free. When it is full,
    frames that no run has used since this one began make room; further clips are decoded in each round. 0: nothing is
    kept."""

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
    if not settings.gib:
        return None
    folder = Path(settings.folder).expanduser() if settings.folder else cache / "frames"
    if settings.folder:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SaviError(f"data.frame_cache.folder: {folder} can't be made: {error.strerror}") from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise SaviError(f"data.frame_cache.folder: {folder} can't be written")
    return FrameCache(folder, settings.gib, count, most_pixels)


class FrameCache:
    """Frames by the file that they were read from, and by how they were sampled and scaled down.

    A replaced file is another file, even with the same size and date. Threads and processes may share a folder: a file
    appears whole or not at all. A damaged one is removed, and its clip decoded again. Where nothing can be written,
    nothing is kept.
    """

    def __init__(self, folder: Path, gib: float, count: int, most_pixels: int | None) -> None:
        """count, most_pixels: frames of a clip, and most pixels of each."""
        self.folder = folder
        self._most = int(gib * 2**30)
        self._sampled = (av.__version__, PIL.__version__, count, most_pixels)
        self._began = time.time()
        self._lock = threading.Lock()
        self._allowance = 0
        self._full = False

    def get(self, source: Path | Excerpt) -> Frames | None:
        """The frames of a file or a part of it; None where they aren't there."""
        file, span = _identity(source)
        if file is None:
            return None
        place = self._place(file, span)
        try:
            frames = _read(place, file, span)
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            with contextlib.suppress(OSError):
                place.unlink()
            return None
        with contextlib.suppress(OSError):  # the file of another user
            os.utime(place)  # used now
        return frames

    def add(self, frames: Frames) -> None:
        """Keep frames that were read from a file, as far as there is room."""
        if frames.file is None:
            return
        place = self._place(frames.file, frames.span)
        unfinished = place.with_name(f"{place.stem}-{os.getpid()}-{threading.get_ident()}{UNFINISHED}")
        try:
            with self._lock:
                if not self._has_room(frames.pixels.nbytes):
                    return
            _write(unfinished, frames)
            unfinished.replace(place)
        except OSError:  # a full disk, or a folder that can't be written
            with contextlib.suppress(OSError):
                unfinished.unlink()

    def _place(self, file: FileIdentity, span: tuple[float, float] | None) -> Path:
        key = repr((*self._sampled, *file, span)).encode("utf-8", "surrogatepass")
        return self.folder / f"{hashlib.blake2b(key, digest_size=16).hexdigest()}{SUFFIX}"

    def _has_room(self, nbytes: int) -> bool:
        """Whether frames of so many bytes may be added. They are then counted."""
        if self._allowance < nbytes and not self._full:
            room = self._measure(nbytes)
            self._allowance = max(room // CHECKED, nbytes)
            self._full = room < nbytes
        if self._full:
            return False
        self._allowance -= nbytes
        return True

    def _measure(self, nbytes: int) -> int:
        """How many more bytes fit into the folder, once what no run has used lately has made room for so many."""
        self.folder.mkdir(parents=True, exist_ok=True)
        files: list[tuple[float, int, str]] = []
        for entry in os.scandir(self.folder):
            if not OURS.fullmatch(entry.name):
                continue
            with contextlib.suppress(FileNotFoundError):  # another process has removed it
                stat = entry.stat()
                if entry.name.endswith(UNFINISHED) and stat.st_mtime < time.time() - ABANDONED:
                    Path(entry.path).unlink()
                else:
                    files.append((stat.st_mtime, stat.st_size, entry.path))
        held, disk = sum(size for _, size, _ in files), shutil.disk_usage(self.folder)
        most = min(self._most, held + disk.free - int(LEAST_FREE * disk.total))
        wanted = max(nbytes, most // CHECKED)
        for used, size, path in sorted(files):
            if held + wanted <= most or used >= self._began or nbytes > most:
                break
            Path(path).unlink(missing_ok=True)
            held -= size
        return most - held


def _identity(source: Path | Excerpt) -> tuple[FileIdentity | None, tuple[float, float] | None]:
    return (identify(source.path), source.span) if isinstance(source, Excerpt) else (identify(source), None)


def _write(place: Path, frames: Frames) -> None:
    """A checksum of what follows, the size of the header, 4 bytes each; the header, and the pixels."""
    pixels = frames.pixels.contiguous().numpy().data
    header = {
        "shape": tuple(frames.pixels.shape),
        "timestamps": frames.timestamps,
        "indices": frames.indices,
        "fps": frames.fps,
        "duration": frames.duration,
    }
    line = json.dumps(header).encode()
    begin = len(line).to_bytes(4, "big") + line
    with place.open("wb") as file:
        file.write(zlib.crc32(pixels, zlib.crc32(begin)).to_bytes(4, "big"))
        file.write(begin)
        file.write(pixels)


def _read(place: Path, file: FileIdentity, span: tuple[float, float] | None) -> Frames:
    """Raises OSError or ValueError for a file that isn't there or isn't whole."""
    data = np.fromfile(place, np.uint8)
    # Before anything in it is believed: a damaged shape may ask for any amount of memory.
    if zlib.crc32(data[4:].data) != int.from_bytes(data[:4].tobytes(), "big"):
        raise ValueError(f"{place} is damaged")
    end = 8 + int.from_bytes(data[4:8].tobytes(), "big")
    header = json.loads(data[8:end].tobytes())
    pixels = torch.from_numpy(data[end:]).view(header["shape"])
    timestamps, indices = tuple(header["timestamps"]), tuple(header["indices"])
    return Frames(pixels, timestamps, indices, header["fps"], header["duration"], span, file)
