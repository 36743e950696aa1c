"""Decoding in processes of their own: order, hangs, crashes, and what is left over when the parent dies."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from torch.utils.data import DataLoader

from savi.types import Frames
from savi.video import process
from savi.video.decode import UndecodableClip, _process, decode
from savi.video.prefetch import decode_ahead
from savi.video.process import DecodeProcess
from savi.video.sampling import midpoint_indices
from tests.video.footage import film, numbers_in

# A worker whose reader does what the file's name says. PyDLL keeps the interpreter's lock, as a hang may.
STAND_IN = """
import ctypes, os, signal, sys, time
from savi.video.reader import read_frames
from savi.video.worker import serve

def read(path, count, timeout, *more):
    if path.stem == "hang":
        ctypes.PyDLL(None).sleep(1000)
    if path.stem == "sleep":
        print("asleep", file=sys.stderr, flush=True)
        ctypes.CDLL(None).sleep(1000)
    if path.stem == "busy":
        while True:
            pass
    if path.stem == "waits":
        time.sleep(0.3)
        path = path.with_stem("good")
    if path.stem == "crash":
        ctypes.string_at(0)
    if path.stem == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if path.stem == "bug":
        raise ZeroDivisionError("by zero")
    if path.stem == "print":
        os.write(1, b"a library's chatter")
        path = path.with_stem("good")
    return read_frames(path, count, timeout, *more)

serve(read)
"""


@pytest.fixture
def clips(tmp_path: Path) -> dict[str, Path]:
    good = film(tmp_path / "good.mp4", 40)
    other = film(tmp_path / "other.mp4", 60)
    names = ("hang", "sleep", "busy", "waits", "crash", "killed", "bug", "print", "missing")
    odd = {name: tmp_path / f"{name}.mp4" for name in names}
    return {"good": good, "other": other, **odd}


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)
    monkeypatch.setattr(process, "COMMAND", (sys.executable, str(script)))
    monkeypatch.setattr(process, "PATIENCE", 2.0)
    return script


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Every decoding process that the test starts; each must be reaped in the end."""
    children: list[subprocess.Popen[bytes]] = []
    start = process._start

    def spy() -> subprocess.Popen[bytes]:
        children.append(start())
        return children[-1]

    monkeypatch.setattr(process, "_start", spy)
    yield children
    assert children
    assert all(child.returncode is not None for child in children)


def summary(outcome: Frames | UndecodableClip) -> str | tuple[int, ...]:
    if isinstance(outcome, UndecodableClip):
        return str(outcome)
    assert numbers_in(outcome.pixels) == list(outcome.indices)
    return outcome.indices


@pytest.mark.parametrize("workers", [0, 1, 2, 5])
def test_outcomes_come_in_order(workers: int, clips: dict[str, Path]) -> None:
    paths = [clips[name] for name in ("good", "missing", "other", "good")]
    good, other = tuple(midpoint_indices(40, 4)), tuple(midpoint_indices(60, 4))
    outcomes = [summary(outcome) for outcome in decode_ahead(paths, 4, 60, workers)]
    assert outcomes == [good, "missing.mp4: no such file", other, good]


def test_what_else_is_done_with_frames_is_done_ahead_in_other_threads(clips: dict[str, Path]) -> None:
    names = []

    def prepare(frames: Frames) -> Frames:
        names.append(threading.current_thread().name)
        return replace(frames, fps=1.0)

    outcomes = list(decode_ahead([clips["good"], None, clips["missing"]], 4, 60, 1, prepare=prepare))
    assert [getattr(outcome, "fps", outcome) for outcome in outcomes] == [1.0, None, outcomes[2]]
    assert isinstance(outcomes[2], UndecodableClip)
    assert names == ["decoding"]


def test_no_paths() -> None:
    assert list(decode_ahead([], 4, 60, 2)) == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_clip_that_hangs_or_crashes_costs_itself(
    workers: int, clips: dict[str, Path], stand_in: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    names = ["good", "hang", "other", "crash", "killed", "bug", "print", "good"]
    outcomes = [summary(outcome) for outcome in decode_ahead([clips[name] for name in names], 4, 0.5, workers)]
    good, other = tuple(midpoint_indices(40, 4)), tuple(midpoint_indices(60, 4))
    assert outcomes == [
        good,
        "hang.mp4: hung for 1 s",
        other,
        "crash.mp4: the decoder crashed (SIGSEGV)",
        "killed.mp4: the decoder crashed (SIGKILL)",
        "bug.mp4: ZeroDivisionError: by zero",
        good,
        good,
    ]
    assert len(started) == workers + 3


@pytest.mark.usefixtures("own_process")
def test_the_limit_counts_work_and_not_time(clips: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that waits for its turn on a busy machine is decoded; one that keeps the decoder busy is not."""
    monkeypatch.setattr(process, "PATIENCE", 1000.0)
    assert summary(decode(clips["waits"], 4, 0.2)) == tuple(midpoint_indices(40, 4))
    with pytest.raises(UndecodableClip, match=r"took longer than 0.05 s"):
        decode(clips["busy"], 4, 0.05)


def test_processes_are_started_once(clips: dict[str, Path], started: list[subprocess.Popen[bytes]]) -> None:
    assert len(list(decode_ahead([clips["good"]] * 9, 4, 60, 2))) == 9
    assert len(started) == 2


def test_looking_ahead_is_bounded(clips: dict[str, Path]) -> None:
    asked: queue.SimpleQueue[int] = queue.SimpleQueue()

    def paths() -> Iterator[Path]:
        for number in range(20):
            asked.put(number)
            yield clips["good"]

    ahead = decode_ahead(paths(), 4, 60, 2)
    assert asked.empty()
    next(ahead)
    assert [asked.get(timeout=60) for _ in range(3)] == [0, 1, 2]
    for used in range(2, 6):
        next(ahead)
        assert asked.get(timeout=60) == used + 1
        assert asked.empty()
    ahead.close()


def test_the_next_batch_is_decoded_while_the_model_has_this_one(
    clips: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model takes a batch and asks for nothing more: the events say when the next batch is there."""
    decoded: queue.SimpleQueue[Frames | UndecodableClip] = queue.SimpleQueue()
    collect = DecodeProcess.collect

    def tell(self: DecodeProcess) -> Frames | UndecodableClip:
        outcome = collect(self)
        decoded.put(outcome)
        return outcome

    monkeypatch.setattr(DecodeProcess, "collect", tell)
    batch = 4
    ahead = decode_ahead([clips["good"], clips["other"]] * 8, 4, 60, workers=2, ahead=batch + 2)
    for _ in range(2):
        for _ in range(batch):
            next(ahead)
    for _ in range(3 * batch):  # an empty queue in the end would raise
        decoded.get(timeout=60)
    ahead.close()


def test_what_is_no_file_comes_through_and_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_start", lambda: pytest.fail("a process was started"))
    bad = UndecodableClip(Path("bad.mp4"), "damaged")
    assert list(decode_ahead([None, bad, "border"], workers=2)) == [None, bad, "border"]


def test_an_error_of_the_sources_is_raised_where_frames_are_asked_for(clips: dict[str, Path]) -> None:
    def paths() -> Iterator[Path]:
        yield clips["good"]
        raise ValueError("a damaged line")

    with pytest.raises(ValueError, match="a damaged line"):
        list(decode_ahead(paths(), 4, 60, 2))


def test_an_iterator_that_is_dropped_ends_its_processes(
    clips: dict[str, Path], stand_in: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    ahead = decode_ahead([clips["good"], clips["sleep"], clips["sleep"]], 4, 60, 3)
    next(ahead)
    del ahead


def test_a_worker_that_cannot_start_is_no_clips_fault(
    clips: dict[str, Path], monkeypatch: pytest.MonkeyPatch, started: list[subprocess.Popen[bytes]]
) -> None:
    monkeypatch.setattr(process, "COMMAND", (sys.executable, "-c", "raise SystemExit(3)"))
    with pytest.raises(RuntimeError, match="code 3"):
        next(decode_ahead([clips["good"]], 4, 60, 1))


@pytest.fixture
def own_process(stand_in: Path) -> Iterator[None]:
    """A decoding process for this test alone, behind `decode`."""
    _process.cache_clear()
    yield
    _process(os.getpid(), threading.get_ident()).kill()
    _process.cache_clear()


@pytest.mark.usefixtures("own_process")
def test_decode_survives_a_hang_and_a_crash(clips: dict[str, Path]) -> None:
    with pytest.raises(UndecodableClip, match=r"hung for 0.4 s"):
        decode(clips["hang"], 4, 0.2)
    with pytest.raises(UndecodableClip, match="SIGSEGV"):
        decode(clips["crash"], 4)
    assert summary(decode(clips["good"], 4)) == tuple(midpoint_indices(40, 4))


@pytest.mark.usefixtures("own_process")
def test_frames_of_an_interrupted_call_are_not_the_next_calls(
    clips: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: DecodeProcess) -> None:
        raise KeyboardInterrupt

    collect = DecodeProcess.collect
    monkeypatch.setattr(DecodeProcess, "collect", interrupted)
    with pytest.raises(KeyboardInterrupt):
        decode(clips["good"], 4)
    monkeypatch.setattr(DecodeProcess, "collect", collect)
    assert summary(decode(clips["other"], 4)) == tuple(midpoint_indices(60, 4))


def test_threads_and_forks_have_processes_of_their_own(clips: dict[str, Path]) -> None:
    expected = [tuple(midpoint_indices(n, 4)) for n in (40, 60)] * 6
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(lambda name: summary(decode(clips[name], 4)), ("good", "other") * 6)) == expected
    loader = DataLoader([clips["good"], clips["other"]], batch_size=None, num_workers=2, collate_fn=_decode)
    assert [summary(frames) for frames in loader] == expected[:2]


def _decode(path: Path) -> Frames:
    return decode(path, 4)


def test_processes_die_with_a_parent_that_is_killed(clips: dict[str, Path], stand_in: Path) -> None:
    script = f"""
import sys
from dataclasses import replace
from pathlib import Path
from savi.video import process
from savi.video.prefetch import decode_ahead
process.COMMAND = (sys.executable, {str(stand_in)!r})
next(decode_ahead([Path({str(clips["sleep"])!r})], 4, 500, 1))
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    parent = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, env=environment)
    assert parent.stderr
    assert parent.stderr.readline() == b"asleep\n"
    parent.send_signal(signal.SIGKILL)
    # Parent and worker both hold this pipe: it ends when both are gone.
    parent.communicate(timeout=60)


def test_workers_start_without_torch() -> None:
    check = "import sys, savi.video.worker; sys.exit('torch' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run([sys.executable, "-c", check], env=environment, check=False).returncode == 0
