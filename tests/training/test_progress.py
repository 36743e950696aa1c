"""The line of progress: what it says, seldom in a file, and never wider than the terminal."""

from __future__ import annotations

import os
import pty
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from savi.training import progress
from savi.training.progress import RunProgress


class Clock:
    """Time that passes when it is told to."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def display(**state: Any) -> RunProgress:
    """The display of a run of four rounds in its second one."""
    trainer = SimpleNamespace(
        state=SimpleNamespace(fn="fit"),
        datamodule=SimpleNamespace(opened={"world": ...}, held_out=[]),
        is_global_zero=True,
        sanity_checking=False,
        current_epoch=1,
        max_epochs=4,
        callbacks=[],
    )
    vars(trainer).update(state)
    shown = RunProgress()
    shown.setup(trainer, None, "fit")  # type: ignore[arg-type]  # no module
    return shown


def build(shown: RunProgress, clock: Clock, clips: int, seconds: float = 1.0) -> Iterator[None]:
    with shown.part("building", clips):
        for count in range(clips):
            clock.now += seconds
            shown.advance(1, f"{5 * count} pairs, 25 % filtered")
            yield


def test_a_file_has_a_line_a_minute(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    list(build(display(), clock, clips=200))
    first, *others = capsys.readouterr().err.splitlines()
    assert first == "Round 2/4 building 30 %, 295 pairs, 25 % filtered, left >2 min, run >9 min"
    assert len(others) == 2


def test_the_time_that_is_left_counts_what_the_last_round_took(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = display()
    shown.took.update(building=1000.0, training=40.0, evaluating=20.0)
    for _ in zip(range(60), build(shown, clock, clips=100), strict=False):
        pass
    # 40 clips, then 60 seconds of training and evaluating; two more rounds of 160 seconds.
    assert capsys.readouterr().err == "Round 2/4 building 60 %, 295 pairs, 25 % filtered, left 2 min, run 7 min\n"


def test_an_evaluation_within_training_does_not_count_as_training(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = display()
    shown.begin("training", 10)
    clock.now += 50
    shown.advance(5)
    shown.begin("evaluating", 2)
    clock.now += 1000
    shown.end()
    shown.advance(0)
    assert capsys.readouterr().err == "Round 2/4 training 50 %, left 18 min, run >54 min\n"
    clock.now += 50
    shown.end()
    assert shown.took == {"training": 100.0, "evaluating": 1000.0}


@pytest.mark.parametrize(
    ("state", "line"),
    [
        ({"base": True}, "Base evaluating 50 %, left 60 s, run >9 min"),
        ({"state": SimpleNamespace(fn="validate")}, "evaluating 50 %, left 60 s"),
        ({"current_epoch": 3}, "Round 4/4 evaluating 50 %, left 60 s, run 60 s"),
        ({"max_epochs": -1}, "Round 2 evaluating 50 %, left 60 s"),
    ],
)
def test_it_says_what_is_evaluated(
    state: dict[str, Any], line: str, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    base = state.pop("base", False)
    shown = display(**state)
    shown.begin("evaluating", 10, base=base)
    clock.now += 60
    shown.advance(5)
    assert capsys.readouterr().err == f"{line}\n"


def test_nothing_is_shown_where_it_is_disabled(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    list(build(display(is_global_zero=False), clock, clips=200))
    assert capsys.readouterr().err == ""


def test_a_terminal_has_one_line_that_never_wraps(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = 60
    reader, terminal = pty.openpty()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    with os.fdopen(terminal, "w") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        list(build(display(max_epochs=40), clock, clips=10, seconds=1234.0))
        stream.flush()
        drawn = all_of(reader)
    os.close(reader)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", drawn).replace("\r", "\n").splitlines()
    assert [line[:22] for line in lines if line].count("Round 2/40 building 50") == 1
    assert max(map(len, lines)) == columns, "it is cut to the terminal's width"
    assert drawn.endswith("\x1b[2K"), "and taken away at its end"


def all_of(terminal: int) -> str:
    """What has been written to a terminal."""
    os.set_blocking(terminal, False)
    written = b""
    with suppress(BlockingIOError):
        while part := os.read(terminal, 2**16):
            written += part
    return written.decode()
