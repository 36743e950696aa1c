"""Where a run is kept, and that one command at a time writes there."""

from __future__ import annotations

import fcntl
from contextlib import suppress
from pathlib import Path
from typing import IO

from lightning import Trainer

from savi.errors import SaviError
from savi.training.metrics_file import ResumableCSVLogger


def run_folder(trainer: Trainer) -> Path:
    """The run's folder: the Trainer's `default_root_dir`, whatever loggers there are.

    Only the first process writes there. The command line sets it to lightning_logs/<name>/version_<n>.
    """
    return Path(trainer.default_root_dir)


def run_name(trainer: Trainer) -> str:
    """The run's name in its results and tables: that of its metrics file, else of its folder."""
    own = next((logger for logger in trainer.loggers if isinstance(logger, ResumableCSVLogger)), None)
    return str(own.name) if own else run_folder(trainer).absolute().name


def lock_run(folder: Path) -> IO[str]:
    """Take a run for this process, until the file is closed or the process ends, however it does.

    A killed launcher may leave its processes running. Raises SaviError where one is still at work.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise SaviError(f"{folder}: another process is still at work on this run; end it first") from None
    except OSError:
        pass  # some network file systems know no locks: a run there goes without
    return file


def unlock_run(file: IO[str]) -> None:
    """Let go of a run. A folder with nothing but its lock belongs to a start that was refused: it is removed."""
    lock = Path(file.name)
    with suppress(OSError):
        if list(lock.parent.iterdir()) == [lock]:
            lock.unlink()
            lock.parent.rmdir()
            lock.parent.parent.rmdir()  # as far as it is empty
    file.close()
