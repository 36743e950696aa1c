"""One command at a time writes into a run's folder."""

from __future__ import annotations

import sys
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from savi.errors import SaviError
from savi.record.lock import lock_run, unlock_run

HOLD = """
import sys
from pathlib import Path
from savi.record.lock import lock_run
lock = lock_run(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_run_is_taken_once_and_free_when_its_process_is_killed(tmp_path: Path) -> None:
    run = tmp_path / "version_0"
    with Popen([sys.executable, "-c", HOLD, run], stdin=PIPE, stdout=PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(SaviError, match=rf"^{run}: another process is still at work on this run; end it first$"):
            lock_run(run)
        holder.kill()
    unlock_run(lock_run(run))


def test_a_start_that_was_refused_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    unlock_run(lock_run(tmp_path / "runs" / "demo" / "version_0"))
    assert list((tmp_path / "runs").iterdir()) == []
    (tmp_path / "runs" / "version_0").mkdir()
    (tmp_path / "runs" / "version_0" / "config.yaml").touch()
    unlock_run(lock_run(tmp_path / "runs" / "version_0"))
    assert (tmp_path / "runs" / "version_0" / "config.yaml").is_file()
