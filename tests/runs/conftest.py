"""A run that the tests of this folder share. A test that changes one works on a copy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from savi.cli import main

DEMO = Path(__file__).parents[2] / "experiments" / "demo.yaml"


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A round over a few clips, at a rate that changes what the model says."""
    runs = tmp_path_factory.mktemp("runs")
    small = ["--data.clip_count=8", "--data.benchmark=null", "--trainer.max_epochs=1", "--data.pairs_per_step=8"]
    more = ["--data.epochs_per_round=3", "--model.optimizer.lr=1e-2", "--model.base.nf4=false"]
    main(["fit", f"--config={DEMO}", f"--runs={runs}", *small, *more])
    return runs / "demo" / "version_0"


@pytest.fixture(scope="session")
def video(run: Path) -> Path:
    """One of the clips that the run has seen."""
    record = json.loads((run / "traces" / "round_00.jsonl").read_text().splitlines()[0])
    return Path(record["video"])
