"""A small disk of one's own: a tmpfs, where this machine allows mounting one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def can_mount(folder: Path) -> bool:
    """Whether a small disk can be mounted at a folder."""
    try:
        with small_disk(folder, 2**20):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    """An empty disk of `size` bytes at a folder, gone afterwards with all that is on it."""
    folder.mkdir(parents=True, exist_ok=True)
    _command("mount", "-t", "tmpfs", "-o", f"size={size}", "savi-faults", str(folder))
    try:
        yield
    finally:
        unmount(folder)


def resize(folder: Path, size: int) -> None:
    """Give the disk at a folder another size, in bytes."""
    _command("mount", "-o", f"remount,size={size}", str(folder))


def unmount(folder: Path) -> None:
    """Take the disk away, even where a process that is about to end has a file of it open."""
    _command("umount", "--lazy", str(folder))


def _command(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True)
