"""Runs the study's commands, several at a time, one thread each. What has its result file is not run again."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tools.paper.gather import measured_rounds
from tools.paper.plan import Measurement, Task

DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def run_all(
    tasks: Sequence[Task], jobs: int, logs: Path, failed: set[str], command: Sequence[str] = ("-m", "savi.cli")
) -> None:
    """Run what is missing, the first ones first; a measurement once its fit is finished, and not if that failed.

    Each task's output goes to a file of its name in `logs`. failed: the labels of those that did are put in, at once,
    so that they are known when the study is stopped. command: what a task's arguments are handed to, by this Python.
    """
    waiting = [task for task in tasks if task.results is None]
    print(f"{len(tasks) - len(waiting)} of {len(tasks)} runs are there already", flush=True)
    logs.mkdir(parents=True, exist_ok=True)
    running: dict[subprocess.Popen[bytes], tuple[Task, float]] = {}
    total, done, spent = len(waiting), 0, 0.0
    while waiting or running:
        while len(running) < jobs and (ready := [task for task in waiting if _ready(task)]):
            waiting.remove(ready[0])
            running[_start(ready[0], logs, command)] = ready[0], time.monotonic()
        if not running:
            print(f"{len(waiting)} measurements are left out: their runs failed", flush=True)
            return
        time.sleep(0.2)
        for process in [process for process in running if process.poll() is not None]:
            task, started = running.pop(process)
            done, spent = done + 1, spent + time.monotonic() - started
            if task.results is None:
                failed.add(task.label)
            left = spent / done * (total - done) / jobs / 60
            print(f"[{done}/{total}] {task.label}: {outcome(task, logs)}; about {left:.0f} min left", flush=True)


def _ready(task: Task) -> bool:
    return not isinstance(task, Measurement) or task.of_base or task.fit.results is not None


def outcome(task: Task, logs: Path) -> str:
    """What came of a task, in a few words."""
    if task.results is None:
        return f"FAILED, see {log_of(task, logs)}"
    return " → ".join(f"{100 * entry['accuracy']:.1f}" for entry in measured_rounds(task.results)) + " %"


def log_of(task: Task, logs: Path) -> Path:
    return logs / f"{task.label.replace('/', '_').replace(' ', '_')}.log"


def _start(task: Task, logs: Path, command: Sequence[str]) -> subprocess.Popen[bytes]:
    with log_of(task, logs).open("ab") as log:
        return subprocess.Popen(
            [sys.executable, *command, *task.arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )


def _die_with_parent() -> None:
    """A run must end when the runner was killed, or the next runner could not take it up. It loses nothing."""
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
