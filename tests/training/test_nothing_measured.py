"""A run without a benchmark says at its start that it measures nothing, and what to do."""

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
        return [line for line in caplog.messages if "measuring nothing" in line]

    return lines


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    return training_clips(tmp_path / "clips", 2, seed=11)[0].path.parent


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_every_published_checkpoints_experiment_says_it_in_one_line(name: str, start: Start, clips: Path) -> None:
    (line,) = start(f"--config={EXPERIMENTS / name}.yaml", f"--data.clips={clips}")
    assert "can't say whether training helps" in line
    assert "data.benchmark" in line
    assert "data.labelled" in line


def test_labels_that_are_given_are_not_asked_for(start: Start, clips: Path) -> None:
    labels = clips.parent / "labels.jsonl"
    labels.write_text(f'{{"video": "{next(clips.glob("*.mp4"))}", "question": "what color?", "answer": "red"}}\n')
    name = EXPERIMENTS / "qwen2_5_vl_3b.yaml"
    (line,) = start(f"--config={name}", f"--data.clips={clips}", f"--data.labelled={labels}")
    assert "data.labelled" not in line


def test_nor_where_a_file_has_the_pairs_and_nothing_reads_labels(start: Start, clips: Path, tmp_path: Path) -> None:
    pair = Said(str(next(clips.glob("*.mp4"))), "what is it?", "a cat", "a dog")
    file = write_lines(tmp_path / "pairs.jsonl", [trl(pair)])
    (line,) = start("--config=pairs", f"--data.pairs={file}", "--data.benchmark=null")
    assert "data.labelled" not in line


def test_a_run_with_a_benchmark_says_nothing_of_it(start: Start, clips: Path) -> None:
    given = ["--data.benchmark=world", "--data.benchmark_clips=1"]
    assert start(f"--config={EXPERIMENTS / 'qwen2_5_vl_3b'}.yaml", f"--data.clips={clips}", *given) == []
