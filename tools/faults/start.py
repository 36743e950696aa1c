"""Starts of savi without the seconds that importing it takes: one process imports all, and a fork of it is a start.

The campaign's own process does the importing. It computes nothing itself, so that it has one thread when it forks.
"""

from __future__ import annotations

import atexit
import ctypes
import importlib
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from math import inf
from pathlib import Path

PARENT_DEATH_SIGNAL = 1
CHILD_SUBREAPER = 36
"""PR_SET_PDEATHSIG and PR_SET_CHILD_SUBREAPER of prctl(2)."""

LATE = ("savi.cli.train", "savi.report.summary", "transformers.models.qwen2_5_vl.modeling_qwen2_5_vl", "bitsandbytes")
"""What a run imports, some of it late."""


def prepare() -> None:
    """Import what a run takes. Raises RuntimeError where a thread runs afterwards, which a fork would lose."""
    for name in LATE:
        importlib.import_module(name)
    if threading.active_count() > 1:
        raise RuntimeError(f"threads run after the imports: {threading.enumerate()}")


class Started:
    """One command of savi in processes of its own, one a rank. Its output goes to `log`."""

    def __init__(
        self, arguments: Sequence[str], cwd: Path, log: Path, processes: int = 1, largest_file: int | None = None
    ) -> None:
        """largest_file: bytes that no file may exceed; None for no limit."""
        places = _places(processes)
        self._running = {_fork(arguments, cwd, log, place, largest_file): rank for rank, place in enumerate(places)}
        self.codes: dict[int, int] = {}
        """Exit codes by rank, of those that have ended; -9 after SIGKILL."""

    def alive(self) -> bool:
        """Whether any of the processes runs."""
        for pid in list(self._running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                self.codes[self._running.pop(pid)] = os.waitstatus_to_exitcode(status)
        return bool(self._running)

    def whole(self) -> bool:
        """Whether all of the processes run."""
        return self.alive() and not self.codes

    def kill(self, ranks: Sequence[int]) -> None:
        """SIGKILL."""
        self.alive()
        for pid, rank in self._running.items():
            if rank in ranks:
                os.kill(pid, signal.SIGKILL)

    def wait(self, limit: float) -> float:
        """Seconds until all have ended. What runs on after `limit` seconds is killed; then it is infinite."""
        started = time.monotonic()
        while self.alive():
            if time.monotonic() - started > limit:
                self.kill(range(len(self._running) + len(self.codes)))
                while self.alive():
                    time.sleep(0.01)
                return inf
            time.sleep(0.01)
        return time.monotonic() - started


def adopt_orphans() -> None:
    """Become the parent of processes whose parent is killed, so that they are seen (Linux)."""
    ctypes.CDLL(None).prctl(CHILD_SUBREAPER, 1)


def wait_for_orphans(limit: float) -> float:
    """Seconds until no child of this process is left; infinite where some lives longer than `limit` seconds.

    Only between two starts, when all children are orphans: decoders and loaders of a process that was killed.
    """
    started = time.monotonic()
    while time.monotonic() - started < limit:
        try:
            ended, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return time.monotonic() - started
        if not ended:
            time.sleep(0.01)
    return inf


def _fork(arguments: Sequence[str], cwd: Path, log: Path, place: dict[str, str], largest_file: int | None) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)  # no run outlives a campaign that is stopped
        if os.getppid() == parent:
            code = _run(arguments, cwd, log, place, largest_file)
    finally:
        os._exit(code)


def _run(arguments: Sequence[str], cwd: Path, log: Path, place: dict[str, str], largest_file: int | None) -> int:
    """What the console command does, in a process of its own."""
    from lightning.pytorch.utilities import rank_zero_only

    from savi.cli.main import main

    signal.signal(signal.SIGINT, signal.default_int_handler)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(cwd)
    os.environ |= one_core() | place
    # What a killed run leaves in the folder of temporary files goes with the case. It is on another disk than the run.
    tempfile.tempdir = str(log.parent / "tmp") if (log.parent / "tmp").is_dir() else None
    rank_zero_only.rank = int(place.get("RANK", 0))  # type: ignore[attr-defined]  # read when Lightning was imported, before there were ranks
    sys.argv = ["savi", *arguments]
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
    code: int | str | None = 0
    try:
        main(arguments)
    except SystemExit as end:
        code = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else int(code is not None)


def one_core() -> dict[str, str]:
    """The environment of a process that takes one core."""
    return os.environ | {"OMP_NUM_THREADS": "1"}


def _places(processes: int) -> list[dict[str, str]]:
    """The environment of each rank, as torchrun sets it; empty for one process."""
    if processes == 1:
        return [{}]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": f"faults-{port}"}
    shared |= {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes), "GROUP_RANK": "0"}
    return [shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)]
