"""The lock of a run's folder: one command at a time writes there."""

from __future__ import annotations

import fcntl
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from savi.errors import SaviError


def lock_run(folder: Path) -> FileLock:
    """Take a run for this process, until it is unlocked or the process ends, however it does.

    A killed launcher may leave its processes running. Raises SaviError where one is still at work.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # A lock that is a file's being there, the fallback, would outlive a killed process.
    lock = FileLock(folder / "lock", timeout=0, thread_local=False, fallback_to_soft=False)
    try:
        lock.acquire()
    except Timeout:
        raise SaviError(f"{folder}: another process is still at work on this run; end it first") from None
    except (OSError, NotImplementedError):
        pass  # some network file systems know no locks: a run there goes without
    return lock


def is_locked(folder: Path) -> bool:
    """Whether a process of this machine is at work on a run. It changes nothing: the look takes a shared lock at most,
    for a moment."""
    with suppress(OSError), (folder / "lock").open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def unlock_run(lock: FileLock) -> None:
    """Let go of a run. A folder with nothing but its lock belongs to a start that was refused: it is removed."""
    file = Path(lock.lock_file)
    with suppress(OSError):
        if list(file.parent.iterdir()) == [file]:
            file.unlink()
            file.parent.rmdir()
            file.parent.parent.rmdir()  # as far as it is empty
    lock.release()
