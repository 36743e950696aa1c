"""The end of one process of several is the end of all: real processes, which meet through gloo."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from torch import distributed

from savi.distributed import watch as module
from savi.distributed.watch import Watch

PROCESSES = 3
Work = Callable[[int, Watch], None]


def _join(rank: int, folder: Path, work: Work) -> None:
    torch.set_num_threads(1)
    with (folder / f"{rank}.err").open("wb") as file:
        os.dup2(file.fileno(), 2)
    distributed.init_process_group("gloo", f"file://{folder / 'meet'}", rank=rank, world_size=PROCESSES)
    work(rank, Watch(rank, PROCESSES))


@pytest.fixture
def together(tmp_path: Path) -> Callable[[Work], tuple[list[int | None], list[str]]]:
    """Runs a function in several processes. Their exit codes, and the lines that they have shown to the user."""

    def run(work: Work) -> tuple[list[int | None], list[str]]:
        processes = [get_context("fork").Process(target=_join, args=(r, tmp_path, work)) for r in range(PROCESSES)]
        for process in processes:
            process.start()
        deadline = time.monotonic() + 60
        while any(process.exitcode is None for process in processes) and time.monotonic() < deadline:
            time.sleep(0.02)  # not join(): it waits for the children of a process too
        said = [(tmp_path / f"{rank}.err").read_text() for rank in range(PROCESSES)]
        lines = [line for text in said for line in text.splitlines() if line.startswith("savi: ")]
        return [process.exitcode for process in processes], lines

    return run


Together = Callable[[Work], tuple[list[int | None], list[str]]]


def wait_for_the_others() -> None:
    time.sleep(300)


@pytest.mark.parametrize("victim", [0, 2])
def test_a_process_that_is_killed_ends_all_with_one_line(victim: int, together: Together) -> None:
    def work(rank: int, watch: Watch) -> None:
        if rank == victim:
            os.kill(os.getpid(), signal.SIGKILL)
        wait_for_the_others()

    codes, lines = together(work)
    assert codes == [-9 if rank == victim else 2 for rank in range(PROCESSES)]
    assert lines == [f"savi: process {victim} of 3 has died (killed, or out of memory?)"]


def test_a_child_that_survives_a_killed_process_does_not_hide_its_death(together: Together, tmp_path: Path) -> None:
    def work(rank: int, watch: Watch) -> None:
        if rank == 1:
            if (child := os.fork()) == 0:
                wait_for_the_others()
            (tmp_path / "child").write_text(str(child))
            os.kill(os.getpid(), signal.SIGKILL)
        wait_for_the_others()

    codes, lines = together(work)
    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)
    assert codes == [2, -9, 2]
    assert len(lines) == 1


@pytest.mark.parametrize("culprit", [0, 1])
def test_the_line_of_an_error_is_shown_once(culprit: int, together: Together) -> None:
    def work(rank: int, watch: Watch) -> None:
        if rank == culprit:
            watch.end("data.clips: no such folder")
        wait_for_the_others()

    assert together(work) == ([2, 2, 2], ["savi: data.clips: no such folder"])


def test_processes_end_behind_a_first_one_that_has_something_to_finish(together: Together, tmp_path: Path) -> None:
    def work(rank: int, watch: Watch) -> None:
        if rank == 0:
            watch.fail()
            time.sleep(1)
            (tmp_path / "finished").touch()
            sys.exit(2)
        wait_for_the_others()

    assert together(work) == ([2, 2, 2], [])
    assert (tmp_path / "finished").exists()


def test_a_process_that_is_stopped_alone_stops_all(together: Together, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENDING", 0.2)

    def work(rank: int, watch: Watch) -> None:
        if rank == 1:
            watch.fail()
        wait_for_the_others()

    assert together(work) == ([2, 2, 2], ["savi: process 1 of 3 was stopped"])


def test_processes_that_are_done_end_one_by_one(together: Together) -> None:
    def work(rank: int, watch: Watch) -> None:
        watch.done()
        time.sleep(0.3 * rank)

    assert together(work) == ([0, 0, 0], [])


def test_a_stranger_at_the_door_is_sent_away(together: Together, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = socket.create_connection

    def intrude(address: tuple[str, int], timeout: float) -> socket.socket:
        connect(address, timeout).sendall(b"a guess 2\n")
        return connect(address, timeout)

    monkeypatch.setattr(socket, "create_connection", intrude)
    assert together(lambda rank, watch: watch.done()) == ([0, 0, 0], [])
