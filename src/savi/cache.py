"""Files that can be made again: the folder for them, and parts of it that hold no more than they may."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import shutil
import threading
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import numpy as np

from savi.errors import SaviError

UNFINISHED = ".unfinished"

LEAST_FREE = 0.1
"""Share of a disk that is left free: checkpoints have to find room, too."""

MOST_LEFT_FREE = 16 * 2**30
"""Bytes that are left free of a disk of more than ten times as many: a large disk is often nine tenths full."""

CHECKED = 64
"""The folder is measured anew when this process has added so small a part of its room, one of 64. So many processes can
share the folder and stay within the bound together, but for a file of each."""

ABANDONED = 3600.0
"""Seconds after which a file that was begun is taken for that of a process that was killed."""

CHECKSUM = 4
"""Bytes of the checksum that a file begins with."""


def cache_folder(named: str | None = None) -> Path:
    """The folder for what can be made again: the named one, or savi's own in the user's cache."""
    if named:
        return Path(named).expanduser()
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "savi"


@functools.cache
def code_digest(*parts: str) -> str:
    """A digest of savi's own code in some of its packages and modules, for keys of what that code makes."""
    home = Path(__file__).parent
    files = [path for part in parts for path in sorted([*home.glob(f"{part}.py"), *(home / part).rglob("*.py")])]
    return hashlib.blake2b(b"".join(path.read_bytes() for path in files), digest_size=16).hexdigest()


def open_bounded(setting: str, gib: float, named: str | None, default: Path, suffix: str) -> BoundedFolder | None:
    """A folder for at most `gib` GiB, None for 0. setting: the group of its settings. named: by the user, if at all.

    Raises SaviError for a folder that was named and can't be made, or can't be written.
    """
    if not gib:
        return None
    folder = Path(named).expanduser() if named else default
    if named:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SaviError(f"{setting}.folder: {folder} can't be made: {error.strerror}") from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise SaviError(f"{setting}.folder: {folder} can't be written")
    return BoundedFolder(folder, gib, suffix)


class BoundedFolder:
    """Files by keys, up to a bound. What no run has used since this one began makes room for more.

    Threads and processes may share a folder: a file appears whole or not at all. A damaged one is removed. Where
    nothing can be written, nothing is kept. All else in the folder is the user's, and stays.
    """

    def __init__(self, path: Path, gib: float, suffix: str) -> None:
        """suffix: of the names of its files, with the dot."""
        self.path = path
        self._most = int(gib * 2**30)
        self._suffix = suffix
        self._ours = re.compile(rf"[0-9a-f]{{32}}({re.escape(suffix)}|-\d+-\d+{UNFINISHED})")
        self._began = time.time()
        self._lock = threading.Lock()
        self._allowance = 0
        self._full: Literal["bound", "disk"] | None = None

    def lack_of_room(self, setting: str) -> str | None:
        """One line on what left no room for a file, None if all had room. setting: the group of its settings."""
        match self._full:
            case "bound":
                reason = f"{self.path} is full: raise {setting}.gib"
            case "disk":
                reason = f"the disk of {self.path} is nearly full: free some of it, or name another by {setting}.folder"
            case None:
                return None
        return f"{reason}. What has no room is made again in each round"

    def has(self, key: tuple[object, ...]) -> bool:
        """Whether there is a file. Only read() sees whether it is damaged."""
        with contextlib.suppress(OSError):  # a folder that can't be entered
            return self._place(key).is_file()
        return False

    def read(self, key: tuple[object, ...]) -> memoryview | None:
        """What was written under a key, which may be changed; None where there is none, or a damaged one."""
        place = self._place(key)
        try:
            data = np.fromfile(place, np.uint8).data
        except FileNotFoundError:
            return None
        except OSError:
            data = memoryview(b"")
        # Before anything in it is believed: a damaged shape may ask for any amount of memory.
        if len(data) < CHECKSUM or zlib.crc32(data[CHECKSUM:]) != int.from_bytes(data[:CHECKSUM], "big"):
            with contextlib.suppress(OSError):
                place.unlink()
            return None
        with contextlib.suppress(OSError):  # the file of another user
            os.utime(place)  # used now
        return data[CHECKSUM:]

    def write(self, key: tuple[object, ...], nbytes: int, parts: Iterable[bytes | memoryview]) -> None:
        """Keep a file as far as there is room. nbytes: its size, nearly. parts: its content, taken if there is."""
        place = self._place(key)
        unfinished = place.with_name(f"{place.stem}-{os.getpid()}-{threading.get_ident()}{UNFINISHED}")
        try:
            with self._lock:
                if not self._has_room(nbytes):
                    return
            content = list(parts)
            checksum = functools.reduce(lambda before, part: zlib.crc32(part, before), content, 0)
            with unfinished.open("wb") as file:
                file.writelines([checksum.to_bytes(CHECKSUM, "big"), *content])
            unfinished.replace(place)
        except OSError:  # a full disk, or a folder that can't be written
            with contextlib.suppress(OSError):
                unfinished.unlink()

    def _place(self, key: tuple[object, ...]) -> Path:
        digest = hashlib.blake2b(repr(key).encode("utf-8", "surrogatepass"), digest_size=16)
        return self.path / f"{digest.hexdigest()}{self._suffix}"

    def _has_room(self, nbytes: int) -> bool:
        """Whether so many bytes may be added. They are then counted."""
        if self._allowance < nbytes and not self._full:
            room, limit = self._measure(nbytes)
            self._allowance = max(room // CHECKED, nbytes)
            self._full = limit if room < nbytes else None
        if self._full:
            return False
        self._allowance -= nbytes
        return True

    def _measure(self, nbytes: int) -> tuple[int, Literal["bound", "disk"]]:
        """How many more bytes fit into the folder, and what limits them.

        Before, what no run has used lately makes room for so many.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        files: list[tuple[float, int, str]] = []
        for entry in os.scandir(self.path):
            if not self._ours.fullmatch(entry.name):
                continue
            with contextlib.suppress(FileNotFoundError):  # another process has removed it
                stat = entry.stat()
                if entry.name.endswith(UNFINISHED) and stat.st_mtime < time.time() - ABANDONED:
                    Path(entry.path).unlink()
                else:
                    files.append((stat.st_mtime, stat.st_size, entry.path))
        held, disk = sum(size for _, size, _ in files), shutil.disk_usage(self.path)
        on_disk = held + disk.free - min(int(LEAST_FREE * disk.total), MOST_LEFT_FREE)
        most = min(self._most, on_disk)
        wanted = max(nbytes, most // CHECKED)
        for used, size, path in sorted(files):
            if held + wanted <= most or used >= self._began or nbytes > most:
                break
            Path(path).unlink(missing_ok=True)
            held -= size
        return most - held, "bound" if most == self._most else "disk"
