"""What becomes of a damaged video is told right: a good clip, a refusal, a crash, a hang, a wrong clip."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from savi.types import Frames
from savi.video import process
from savi.video.process import DecodeProcess
from tests.video.footage import film
from tools.faults import feed as feeding
from tools.faults.feed import Fed, Mutant, check, draw_mutant, feed

GOOD = Frames(torch.zeros(3, 2, 2, 3, dtype=torch.uint8), (0.0, 0.0, 0.1), (0, 0, 1), 10.0, 0.2)

STAND_IN = """
import os
import numpy as np
from savi.video.reader import Reading
from savi.video.worker import serve

def read(path, count, timeout, *span):
    what = path.read_bytes()
    if what == b"crash":
        os.abort()
    if what == b"memory":
        bytearray(10 * 2**30)
    if what == b"hang":
        import signal, time
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        time.sleep(60)
    short = what == b"short"
    return Reading(np.zeros((count - short, 2, 2, 3), np.uint8), (0.0,) * count, (0,) * count, 1.0, 1.0)

serve(read)
"""


@pytest.fixture
def decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DecodeProcess]:
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)
    monkeypatch.setattr(process, "COMMAND", (sys.executable, str(script)))
    started = DecodeProcess()
    yield started
    started.kill()


def fed(data: bytes, decoder: DecodeProcess, folder: Path, expected: bool | None = None) -> Fed:
    return feed(Mutant(0, "base.mp4", "bits", ".mp4", 2, data, None, expected), decoder, folder)


def test_frames_as_they_were_asked_for_are_right() -> None:
    assert check(GOOD, 3) == ""


@pytest.mark.parametrize(
    ("frames", "wrong"),
    [
        (replace(GOOD, pixels=GOOD.pixels[:2]), "for 3 frames"),
        (replace(GOOD, timestamps=(0.0, 0.1)), "for 3 frames"),
        (replace(GOOD, pixels=GOOD.pixels[:, :0]), "a shape"),
        (replace(GOOD, timestamps=(0.0, 0.0, float("nan"))), "not finite"),
        (replace(GOOD, fps=float("inf")), "not finite"),
        (replace(GOOD, duration=-1.0), "negative"),
        (replace(GOOD, timestamps=(-0.1, -0.1, 0.1)), "negative"),
        (replace(GOOD, indices=(1, 1, 0)), "fall"),
        (replace(GOOD, timestamps=(0.0, 0.1, 0.1)), "rise"),
        (replace(GOOD, timestamps=(0.1, 0.1, 0.0)), "rise"),
        (replace(GOOD, timestamps=(0.0, 0.0, 0.3)), "after the end"),
    ],
)
def test_wrong_frames_are_told(frames: Frames, wrong: str) -> None:
    assert wrong in check(frames, 3)


def test_each_outcome_is_told(decoder: DecodeProcess, tmp_path: Path) -> None:
    good = fed(b"good", decoder, tmp_path)
    assert (good.outcome, good.defect) == ("accepted", "")
    crashed = fed(b"crash", decoder, tmp_path)
    assert (crashed.outcome, crashed.defect) == ("worker ended", "")
    assert "SIGABRT" in crashed.reason
    assert "for 2 frames" in fed(b"short", decoder, tmp_path).defect
    assert fed(b"memory", decoder, tmp_path).reason == "takes more than 6 GiB of memory"
    assert fed(b"good", decoder, tmp_path, expected=False).defect == "accepted, though its content is no video"
    assert fed(b"crash", decoder, tmp_path, expected=True).defect == "worker ended, though its content is whole"


def test_a_decoder_that_never_comes_back_is_a_hang(
    decoder: DecodeProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "TIMEOUT", 0.1)
    monkeypatch.setattr(feeding, "SLACK", 0.5)
    assert fed(b"good", decoder, tmp_path).defect == ""
    assert fed(b"hang", decoder, tmp_path).defect == "hang"
    assert fed(b"good", decoder, tmp_path).defect == ""


def test_an_answer_that_makes_no_sense_is_a_crash(
    decoder: DecodeProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DecodeProcess, "collect", lambda _: 1 / 0)
    assert fed(b"good", decoder, tmp_path).defect.startswith("crash: ZeroDivisionError")


def test_mutants_repeat_and_reach_every_kind(tmp_path: Path) -> None:
    bases = [film(tmp_path / f"film.{kind}", 12) for kind in ("mp4", "mkv")]
    text = tmp_path / "text.txt"
    text.write_text("no video")
    mutants = [draw_mutant(0, index, bases, [text]) for index in range(160)]
    assert mutants == [draw_mutant(0, index, bases, [text]) for index in range(160)]
    assert len({mutant.kind for mutant in mutants}) == 8
    lying = [mutant for mutant in mutants if mutant.kind == "lying extension"]
    assert {mutant.expected for mutant in lying} == {True, False, None}
    assert all(mutant.expected is None for mutant in mutants if mutant not in lying)
