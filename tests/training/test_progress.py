"""The bars in a log file: few lines, the last of them complete."""

from __future__ import annotations

from pathlib import Path

import pytest
from lightning import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel, RandomDataset
from torch.utils.data import DataLoader

from savi.training.progress import LOGGED_STEPS, RoundProgressBar, clip_bar


def drawn(text: str) -> list[str]:
    return [line for line in text.replace("\r", "\n").splitlines() if line.strip()]


def test_a_log_has_a_line_for_every_so_many_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = 2 * LOGGED_STEPS + 20
    trainer = Trainer(
        max_epochs=1,
        limit_val_batches=0,
        accelerator="cpu",
        callbacks=[RoundProgressBar()],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(BoringModel(), DataLoader(RandomDataset(32, steps)))
    lines = [line for line in drawn(capsys.readouterr().out) if line.startswith("Round 1: it learns")]
    counts = {int(line.split(f"/{steps}")[0].split()[-1]) for line in lines}
    assert counts == {0, LOGGED_STEPS, 2 * LOGGED_STEPS, steps}


def test_a_log_has_few_lines_of_pair_building(capsys: pytest.CaptureFixture[str]) -> None:
    with clip_bar("Round 2: the model criticizes itself", total=500, done=20, disable=False) as bar:
        for count in range(480):
            bar.set_postfix(pairs=count, refresh=False)
            bar.update(1)
    first, last = drawn(capsys.readouterr().err)
    assert first.startswith("Round 2: ")
    assert "20/500" in first
    assert "500/500" in last
    assert "pairs=479" in last
