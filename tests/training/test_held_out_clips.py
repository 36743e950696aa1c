"""A run with held-out clips: it never learns from them, and measures itself on them before and after each round."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from savi.cli import main
from savi.training.held_out import not_measured
from savi.types import Clip
from tests.quick_runs import QUICK

DEMO = Path(__file__).parents[2] / "experiments" / "demo.yaml"
SMALL = [
    *QUICK,
    "--data.clip_count=8",
    "--data.held_out=0.01",
    "--data.benchmark=null",
    "--data.micro_batch_clips=4",
    "--data.pairs_per_step=4",
    "--model.optimizer.lr=5e-3",
]


def fit(runs: Path, *more: str) -> Path:
    main(["fit", f"--config={DEMO}", f"--runs={runs}", *SMALL, *more])
    return runs / "demo" / "version_0"


def rounds(run: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((run / "results.json").read_text())["rounds"]
    return entries


def clips_of(file: Path) -> set[str]:
    return {json.loads(line)["clip"] for line in file.read_text().splitlines()}


def test_a_run_is_measured_on_clips_that_it_never_learns_from_and_resumes_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = fit(tmp_path, "--trainer.max_epochs=1")
    said = capsys.readouterr().out
    assert "change (95 %)" in said
    assert "These are no accuracies" in said
    base, first = rounds(run)
    assert "change" not in base["held_out"]["agreement"]
    assert first["held_out"]["agreement"]["change"] == pytest.approx(
        first["held_out"]["agreement"]["mean"] - base["held_out"]["agreement"]["mean"]
    )
    held = clips_of(run / "held_out" / "round_00.jsonl")
    assert len(held) == 2
    learned = clips_of(run / "traces" / "round_00.jsonl")
    assert len(learned) == 6
    assert not held & learned
    questions = (run / "held_out" / "questions.json").read_bytes()

    resumed = fit(tmp_path, "--trainer.max_epochs=2", "--ckpt_path=last")
    assert [entry["round"] for entry in rounds(resumed)] == [0, 1, 2]
    assert rounds(resumed)[0] == base
    assert (run / "held_out" / "questions.json").read_bytes() == questions
    third = rounds(resumed)[2]["held_out"]
    assert third["digest"] == base["held_out"]["digest"]
    with (run / "metrics.csv").open() as file:
        logged = [float(row["held_out/agreement"]) for row in csv.DictReader(file) if row["held_out/agreement"]]
    assert logged == pytest.approx([entry["held_out"]["agreement"]["mean"] for entry in rounds(resumed)])

    with pytest.raises(SystemExit):
        fit(tmp_path, "--trainer.max_epochs=3", "--ckpt_path=last", "--data.held_out=0.5")
    assert "data.held_out" in capsys.readouterr().err


def test_clips_that_nothing_is_asked_about_are_named() -> None:
    clips = [Clip(name, Path(name)) for name in ("a", "b\udce9", "c")]
    assert not_measured(clips, {"a": ["what?"], "b\udce9": ["what?"], "c": ["what?"]}) == ""
    line = not_measured(clips, {"a": ["what?"]})
    assert line == "Held-out clips that can't be decoded, or without a question: 2 (b\\xe9, c)"
