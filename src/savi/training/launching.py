"""Keeps the processes of a command together, from the launch of the first to the end of the last."""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from functools import partial

from lightning import Callback, LightningModule, Trainer
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.strategies import ParallelStrategy, Strategy
from torch import distributed

from savi.distributed.failures import FORESEEN, LAUNCHER, describe
from savi.distributed.launched import SETTLING, follow, launched_by, look_after
from savi.distributed.watch import Watch
from savi.training.parts import callbacks_of


class ProcessWatch(Callback):
    """Watches over the processes of a Trainer: when one ends early all end, with one line.

    A :class:`Watch` connects those that have met. Before that, savi.distributed.launched looks after them.
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
            threading.Thread(target=look_after, args=(strategy.launcher, self._met), daemon=True).start()
        if launcher := launched_by():
            threading.Thread(target=follow, args=(launcher, self._met), daemon=True).start()

    def _met(self) -> Watch | None:
        return self._watch

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
