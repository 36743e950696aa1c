"""Files that are either the old or the new one, also after a kill or on a full disk; and what tells files apart."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from savi.errors import SaviError

SAMPLE = 2**16
"""Bytes of a file that are looked at in each of three places."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path next to `path`. Its file replaces `path` when the block ends, and is removed when it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_durably(path: Path, data: bytes | memoryview) -> None:
    """Write a file that is the old or the new one also after a failure of the machine."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8. A lone surrogate is no text in UTF-8: it becomes "?"."""
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "replace"))


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON. Raises SaviError for a number that isn't finite: JSON has no word for it."""
    write_text(path, _dumps(path, value, indent=1) + "\n")


def write_json_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object per line. Raises SaviError for a number that isn't finite."""
    write_text(path, "".join(_dumps(path, record, ensure_ascii=False) + "\n" for record in records))


def _dumps(path: Path, value: Any, **options: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False, **options)
    except ValueError:
        raise SaviError(f"{path} is not written: a number in it isn't finite") from None


def digest_json(parts: Any) -> str:
    """A digest of what JSON can hold, whatever the order of keys."""
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


def content_digest(path: Path) -> str | None:
    """A digest of a file's size and of its first, middle and last 64 KiB, None where it can't be read.

    A copy has the same digest, unlike its times and its inode.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            digest = hashlib.blake2b(str(size).encode(), digest_size=16)
            for start in (0, (size - SAMPLE) // 2, size - SAMPLE):
                file.seek(max(start, 0))
                digest.update(file.read(SAMPLE))
    except OSError:
        return None
    return digest.hexdigest()


class FileIdentity(NamedTuple):
    """What tells a file from one that replaced it. The times are in nanoseconds; no program can set `changed`."""

    path: str
    size: int
    modified: int
    changed: int
    inode: int


def identify(path: Path) -> FileIdentity | None:
    """The identity of the file that a path leads to now, None where there is none, or a folder."""
    try:
        if not path.is_file():
            return None
        stat, resolved = path.stat(), str(path.resolve())
    except OSError:
        return None
    return FileIdentity(resolved, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
