"""Where a run is kept, and that one command at a time writes there."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path
from typing import IO, Any

from lightning import Trainer

from savi.types import SaviError


def run_folder(trainer: Trainer) -> Path:
    """lightning_logs/<experiment>/version_<n> of this run. Only the first process writes there.

    Unlike trainer.log_dir it may be asked for in one process alone.
    """
    logger: Any = trainer.logger
    return Path(logger.log_dir if logger else ".")


def lock_run(folder: Path) -> IO[str]:
    """Take a run for this process, until the file is closed or the process ends, however it does.

    A killed launcher may leave its processes behind, which go on. Raises SaviError where one is still at work.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise SaviError(f"{folder}: another process is still at work on this run; end it first") from None
    except OSError:
        pass  # some network file systems know no locks: a run there goes without
    return file


def write_json(path: Path, value: Any) -> None:
    """Write a file that is either the old or the new one, whenever the process is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)
