"""Keeps the processes of a command together, from the launch of the first to the end of the last."""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from functools import partial
from subprocess import Popen
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.strategies import ParallelStrategy, Strategy
from torch import distributed

from savi.distributed.failures import FORESEEN, LAUNCHER, describe
from savi.distributed.watch import Watch, end
from savi.training.parts import callbacks_of

POLL = 0.5
"""Seconds between two looks at a launcher, or at the processes that were launched."""
SETTLING = 1.0
"""Seconds in which the watch learns that another process has died."""
PATIENCE = 5.0
"""Seconds that a process leaves to the one that shows the line on its machine."""


class ProcessWatch(Callback):
    """Watches over the processes of a Trainer: when one ends early all end, with one line.

    A :class:`Watch` connects those that have met. Before that, the launcher and the processes launched by it look at
    each other.
    """

    def __init__(self) -> None:
        self._watch: Watch | None = None

    def attach(self, trainer: Trainer) -> None:
        """Begin, before the Trainer launches the other processes."""
        callbacks_of(trainer).insert(0, self)
        strategy = trainer.strategy
        # The processes meet in here, and no hook of a callback comes before data are read.
        strategy.setup_environment = partial(_meet, self, strategy)  # type: ignore[method-assign]  # there is no hook
        environment = strategy.cluster_environment if isinstance(strategy, ParallelStrategy) else None
        if environment and not environment.creates_processes_externally:
            os.environ[LAUNCHER] = str(os.getpid())
            threading.Thread(target=self._look_after, args=(strategy.launcher,), daemon=True).start()
        if launcher := _launched_by():
            threading.Thread(target=self._follow, args=(launcher,), daemon=True).start()

    def join(self) -> None:
        """Connect the processes. All have to call it, after they have met."""
        self._watch = Watch(distributed.get_rank(), distributed.get_world_size())

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if self._watch:
            self._watch.done()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        unforeseen = isinstance(exception, Exception) and not isinstance(exception, FORESEEN)
        if unforeseen:
            time.sleep(SETTLING)  # an operation fails where another process has died: then a thread ends this one
        if self._watch is None:
            return
        if unforeseen:
            if trainer.global_rank:
                traceback.print_exception(exception)
            rank, processes = trainer.global_rank, trainer.world_size
            self._watch.fail(f"process {rank} of {processes} has failed: {describe(exception)}")
        elif isinstance(exception, Exception):
            self._watch.fail(describe(exception))
        else:  # an interrupt, or an exit because of another process
            self._watch.fail()

    def _look_after(self, launcher: Any) -> None:
        """Of the launcher: end with a launched process that doesn't come as far as the meeting."""
        while self._watch is None:
            launched = [process for process in getattr(launcher, "procs", []) if isinstance(process, Popen)]
            for rank, process in enumerate(launched, start=1):
                if code := process.poll():
                    for other in launched:
                        other.kill()
                    # Code 2 comes after a line.
                    end("" if code == 2 else f"process {rank} has ended while it started (exit code {code})")
            time.sleep(POLL)

    def _follow(self, launcher: int) -> None:
        """Of a launched process: end with the launcher."""
        while os.getppid() == launcher:
            time.sleep(POLL)
        speaks = os.environ["LOCAL_RANK"] == ("1" if LAUNCHER in os.environ else "0")
        time.sleep(SETTLING if speaks else PATIENCE)
        line = "the command that has started this process has died" if speaks else ""
        if self._watch and line:
            self._watch.end(line)
        end(line)


def stop_on_sigterm() -> None:
    """Let SIGTERM stop a run as Ctrl-C does. To be called after Lightning has set its own handler.

    That one waits for the next optimizer step, which may be hours away while pairs are built, and then ends with exit
    code 0. In several processes it also broadcasts in the middle of whatever they exchange. On SLURM it stays, because
    it takes part in requeueing.
    """
    if threading.current_thread() is threading.main_thread() and not SLURMEnvironment.detect():
        signal.signal(signal.SIGTERM, signal.default_int_handler)


def _meet(watch: ProcessWatch, strategy: Strategy) -> None:
    type(strategy).setup_environment(strategy)
    watch.join()


def _launched_by() -> int | None:
    """The process id of the savi command or the torchrun that has launched this process, None if neither has."""
    if "LOCAL_RANK" not in os.environ:
        return None
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return os.getppid()
    return int(os.environ[LAUNCHER]) if LAUNCHER in os.environ else None
