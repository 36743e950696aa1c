"""One line of progress for building, training and evaluating, with the time that is left.

On a terminal it is drawn over and over. In a log file it is a line a minute. It goes to standard error.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.live import Live
from rich.text import Text

from savi.training.parts import callbacks_of_kind, data_of

HELD_OUT = "held-out clips"
PARTS = ("building", "training", "evaluating", HELD_OUT)
"""Of a round, in their order. The base has the last two alone, and not every run has all."""

DRAWN_SECONDS, LOGGED_SECONDS = 0.1, 60.0
"""Least seconds between two lines, on a terminal and in a file."""


@dataclass
class _Part:
    """A part of a round that is under way, or of what comes before the first one, about the base.

    first: units that were done before it began. begun: in time.monotonic()'s seconds.
    """

    name: str
    total: int
    first: int
    base: bool
    done: int
    begun: float

    @property
    def whole(self) -> float | None:
        """Seconds that all its units take at this pace; None before the first."""
        new = self.done - self.first
        return (time.monotonic() - self.begun) / new * self.total if new else None


class RunProgress(ProgressBar):
    """Lightning's progress bar, which shows what a run is doing in one line.

    took: seconds of each of PARTS when it was last done. They tell how long what is still to come will take; where one
    is missing, the times begin with ">".
    """

    def __init__(self) -> None:
        super().__init__()
        self.took: dict[str, float] = {}
        self._parts: list[_Part] = []  # an evaluation may come in the middle of training
        self._shown = True
        self._console = Console(stderr=True)
        self._live: Live | None = None
        self._said = time.monotonic()

    def enable(self) -> None:
        self._shown = True

    def disable(self) -> None:
        self._shown = False

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if not self._parts:
            self.begin("training", int(self.total_train_batches), batch_idx)

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        metrics = trainer.progress_bar_metrics
        names = {"loss": "loss", "rewards/accuracies": "accuracy"}
        self.advance(1, ", ".join(f"{said} {metrics[name]:.2f}" for name, said in names.items() if name in metrics))

    def on_train_epoch_end(self, *_: Any) -> None:
        self.end()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        batches = trainer.num_test_batches if trainer.testing else trainer.num_val_batches
        total = sum(trainer.num_sanity_val_batches if trainer.sanity_checking else batches)
        self.begin("evaluating", int(total), base=trainer.sanity_checking)

    def on_validation_batch_end(self, *_: Any) -> None:
        self.advance(1)

    def on_validation_epoch_end(self, *_: Any) -> None:
        self.end()  # before the accuracy is printed

    on_test_start = on_validation_start

    def on_test_batch_end(self, *_: Any) -> None:
        self.advance(1)

    def on_test_epoch_end(self, *_: Any) -> None:
        self.end()

    def on_exception(self, *_: Any) -> None:
        self._clear()

    @contextmanager
    def part(self, name: str, total: int, done: int = 0, base: bool = False) -> Iterator[None]:
        """A part that the Trainer doesn't tell of. done: units of `total` that an earlier start has done."""
        self.begin(name, total, done, base)
        yield
        self.end()

    def begin(self, name: str, total: int, done: int = 0, base: bool = False) -> None:
        self._parts.append(_Part(name, total, done, base, done, time.monotonic()))
        self._draw("")

    def advance(self, units: int, facts: str = "") -> None:
        """Count units of the current part as done. facts: what else is known of it."""
        if self._parts:
            self._parts[-1].done += units
            self._draw(facts)

    def end(self) -> None:
        """End the current part, and take its line away: what came of it has a line of its own."""
        self._clear()
        if not self._parts:
            return
        part = self._parts.pop()
        seconds = time.monotonic() - part.begun
        if part.first == 0:
            self.took[part.name] = seconds
        for other in self._parts:
            other.begun += seconds

    def _clear(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live, self._said = None, 0.0

    def _draw(self, facts: str) -> None:
        on_terminal = self._console.is_terminal
        if not self._shown or time.monotonic() - self._said < (DRAWN_SECONDS if on_terminal else LOGGED_SECONDS):
            return
        self._said = time.monotonic()
        line = Text(self._text(facts), no_wrap=True, overflow="ellipsis")
        if not on_terminal:
            self._console.print(line, soft_wrap=True)
            return
        if self._live is None:
            # What others print to standard output may go to a file.
            self._live = Live(console=self._console, transient=True, auto_refresh=False, redirect_stdout=False)
            self._live.start()
        self._live.update(line, refresh=True)

    def _text(self, facts: str) -> str:
        trainer, part = self.trainer, self._parts[-1]
        doing = f"{part.name} {100 * part.done // part.total} %" if part.total else part.name
        times, rounds = {"left": self._left(0)}, trainer.max_epochs or 0
        if trainer.state.fn == "fit":
            done = 0 if part.base else trainer.current_epoch + 1
            number = f"{done}/{rounds}" if rounds > 0 else f"{done}"
            doing = f"Round {number} {doing}" if done else f"Base {doing}"
            times |= {"run": self._left(rounds - done)} if rounds >= done else {}
        said = [f"{name} {_words(*left)}" for name, left in times.items() if any(left)]
        return ", ".join(text for text in (doing, facts, *said) if text)

    def _left(self, later_rounds: int) -> tuple[float, bool]:
        """Seconds of the rest of this round and of `later_rounds` more, and whether they are all that is to come."""
        under_way = {part.name: part for part in self._parts}
        seconds, known = 0.0, True
        for name in self._names:
            part = under_way.get(name)
            whole = (part.whole if part else None) or self.took.get(name)
            share = 1 - part.done / part.total if part and part.total else float(self._is_to_come(name))
            seconds += (whole or 0.0) * (share + later_rounds)
            known &= whole is not None or share + later_rounds == 0
        return seconds, known

    @property
    def _names(self) -> tuple[str, ...]:
        data = data_of(self.trainer)
        absent = {name for name, there in (("evaluating", data.opened), (HELD_OUT, data.held_out)) if not there}
        return tuple(name for name in PARTS if name not in absent)

    def _is_to_come(self, name: str) -> bool:
        """Whether a part of this round comes after those that are under way."""
        if self._parts[-1].base or self.trainer.state.fn != "fit":
            return False
        places = [PARTS.index(part.name) for part in self._parts if part.name in PARTS]
        return PARTS.index(name) > max(places, default=-1)


def progress_of(trainer: Trainer) -> RunProgress:
    """The run's display. One of its own for what Lightning's other bars don't show: silent if there is no bar."""
    found = callbacks_of_kind(trainer, RunProgress)
    if found:
        return found[0]
    progress = RunProgress()
    progress.setup(trainer, trainer.lightning_module, "fit")
    if trainer.progress_bar_callback is None:
        progress.disable()
    return progress


def _words(seconds: float, known: bool) -> str:
    """A time in few letters; ">" before one that is longer by parts that were never timed."""
    if seconds < 100:
        text = f"{seconds:.0f} s"
    else:
        text = f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
    return text if known else f">{text}"
