"""Runs the study's commands, several at a time, one thread each. What has its result file is not run again."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from paper.plan import Task

DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


def run_all(tasks: Sequence[Task], jobs: int, logs: Path, command: Sequence[str] = ("-m", "savi.cli")) -> int:
    """Run what is missing; how many failed. Each task's output goes to a file of its name in `logs`.

    command: what a task's arguments are handed to, by this Python.
    """
    waiting = [task for task in tasks if task.results is None]
    print(f"{len(tasks) - len(waiting)} of {len(tasks)} runs are there already", flush=True)
    logs.mkdir(parents=True, exist_ok=True)
    running: dict[subprocess.Popen[bytes], tuple[Task, float]] = {}
    total, done, failed, spent = len(waiting), 0, 0, 0.0
    while waiting or running:
        while waiting and len(running) < jobs:
            task = waiting.pop(0)
            running[_start(task, logs, command)] = task, time.monotonic()
        time.sleep(0.2)
        for process in [process for process in running if process.poll() is not None]:
            task, started = running.pop(process)
            done, spent = done + 1, spent + time.monotonic() - started
            failed += task.results is None
            left = spent / done * (total - done) / jobs / 60
            print(f"[{done}/{total}] {task.label}: {outcome(task, logs)}; about {left:.0f} min left", flush=True)
    return failed


def outcome(task: Task, logs: Path) -> str:
    """What came of a task, in a few words."""
    if task.results is None:
        return f"FAILED, see {log_of(task, logs)}"
    rounds = [entry for entry in json.loads(task.results.read_text())["rounds"] if "accuracy" in entry]
    return " → ".join(f"{100 * entry['accuracy']:.1f}" for entry in rounds) + " %"


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
    """A run must not go on when the runner was killed: the next one could not take it up. It loses nothing."""
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
