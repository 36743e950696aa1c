"""A run says at its start what it measures without a benchmark, or that it measures nothing, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from savi.cli.main import main
from savi.training.module import SelfAlignment
from savi.world.clips import training_clips
from tests.test_checkpoints import CHECKPOINTS, EXPERIMENTS
from tools.pair_shapes import Said, trl, write_lines

Start = Callable[..., list[str]]


class StartedError(Exception):
    """Ends a run where its model would be loaded."""


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> Start:
    def configure(_: SelfAlignment) -> None:
        raise StartedError

    monkeypatch.setattr(SelfAlignment, "configure_model", configure)

    def lines(*given: str) -> list[str]:
        """The lines about it that a run says before it loads its model."""
        caplog.clear()
        with pytest.raises(StartedError):
            main(["fit", f"--runs={tmp_path / 'runs'}", "--trainer.enable_progress_bar=false", *given])
        return [line for line in caplog.messages if "measuring nothing" in line or "held out" in line]

    return lines


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    return training_clips(tmp_path / "clips", 4, seed=11)[0].path.parent


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_every_published_checkpoints_experiment_measures_held_out_clips(name: str, start: Start, clips: Path) -> None:
    (line,) = start(f"--config={EXPERIMENTS / name}.yaml", f"--data.clips={clips}")
    assert line.startswith("held out: 1 clips, which nothing is learned from")
    assert "no accuracy" in line
    assert "data.labelled" in line


def test_without_them_it_says_that_nothing_is_measured_and_asks_for_what_it_lacks(start: Start, clips: Path) -> None:
    given = [f"--config={EXPERIMENTS / 'qwen2_5_vl_3b.yaml'}", f"--data.clips={clips}", "--data.held_out=0"]
    (line,) = start(*given)
    assert "can't say whether training helps" in line
    assert "data.benchmark" in line
    assert "data.labelled" in line
    assert "data.held_out" in line
    labels = clips.parent / "labels.jsonl"
    labels.write_text(f'{{"video": "{next(clips.glob("*.mp4"))}", "question": "what color?", "answer": "red"}}\n')
    (line,) = start(*given, f"--data.labelled={labels}")
    assert "data.labelled" not in line


def test_nor_where_a_file_has_the_pairs_and_nothing_reads_labels(start: Start, clips: Path, tmp_path: Path) -> None:
    pair = Said(str(next(clips.glob("*.mp4"))), "what is it?", "a cat", "a dog")
    file = write_lines(tmp_path / "pairs.jsonl", [trl(pair)])
    (line,) = start("--config=pairs", f"--data.pairs={file}", "--data.benchmark=null")
    assert "data.labelled" not in line


def test_a_run_with_a_benchmark_says_nothing_of_it(start: Start, clips: Path) -> None:
    given = ["--data.benchmark=world", "--data.benchmark_clips=1", "--data.held_out=0"]
    assert start(f"--config={EXPERIMENTS / 'qwen2_5_vl_3b'}.yaml", f"--data.clips={clips}", *given) == []
