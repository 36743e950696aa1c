"""Processes that haven't met yet end with their launcher, and it with them: real processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen
from types import SimpleNamespace

import pytest

from savi.distributed import launched
from savi.distributed.failures import LAUNCHER
from savi.distributed.launched import follow, launched_by, look_after

SLEEP = (sys.executable, "-c", "import time; time.sleep(300)")


def fork(work: Callable[[], object], errors: Path) -> int:
    """The process id of a child that does the work, with its standard error in a file."""
    if pid := os.fork():
        return pid
    try:
        with errors.open("wb") as file:
            os.dup2(file.fileno(), 2)
        work()
    finally:
        os._exit(70)


def exit_code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def lines(errors: Path) -> list[str]:
    return [line for line in errors.read_text().splitlines() if line.startswith("savi: ")]


@pytest.mark.parametrize(
    ("code", "shown"),
    [(3, ["savi: process 2 has ended while it started (exit code 3)"]), (2, [])],
    ids=["without a line", "after a line of its own"],
)
def test_a_process_that_ends_before_they_meet_ends_all(code: int, shown: list[str], tmp_path: Path) -> None:
    reader, writer = os.pipe()

    def launch() -> None:
        procs = [Popen(SLEEP, pass_fds=[writer]), Popen((sys.executable, "-c", f"raise SystemExit({code})"))]
        look_after(SimpleNamespace(procs=procs), lambda: None)

    launcher = fork(launch, tmp_path / "err")
    os.close(writer)
    assert exit_code(launcher) == 2
    assert lines(tmp_path / "err") == shown
    assert os.read(reader, 1) == b"", "the other process has ended too"
    os.close(reader)


@pytest.mark.parametrize(("local_rank", "shown"), [(1, 1), (2, 0)])
def test_a_process_ends_with_its_launcher_and_one_says_so(
    local_rank: int, shown: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launched, "PATIENCE", 0.1)
    monkeypatch.setenv("LOCAL_RANK", str(local_rank))
    reader, writer = os.pipe()

    def launch() -> None:
        os.environ[LAUNCHER] = str(os.getpid())
        fork(lambda: follow(launched_by() or 0, lambda: None), tmp_path / "err")
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)

    launcher = fork(launch, tmp_path / "launcher")
    os.close(writer)
    assert exit_code(launcher) == -9
    assert os.read(reader, 1) == b"", "the launched process has ended"
    os.close(reader)
    assert len(lines(tmp_path / "err")) == shown
