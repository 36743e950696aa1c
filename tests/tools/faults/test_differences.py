"""The comparison of two runs sees every kind of difference, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tools.faults.compare import differences

METRICS = "epoch,step,loss,val/accuracy\n,0,,0.5\n0,0,0.69,\n0,0,,0.6\n"


def made_up(run: Path) -> Path:
    for name in ("pairs", "items", "checkpoints", "adapter"):
        (run / name).mkdir(parents=True)
    (run / "config.yaml").write_text(str(run))
    (run / "summary.png").write_text(str(run))
    results = {"run": {"seed": 0}, "rounds": [{"round": 0, "accuracy": 0.5, "seconds": {"evaluating": len(str(run))}}]}
    (run / "results.json").write_text(json.dumps(results))
    (run / "metrics.csv").write_text(METRICS)
    (run / "pairs" / "round_00.jsonl").write_text('{"chosen": "a dog"}\n')
    (run / "items" / "round_00.jsonl").write_text('{"choice": "a dog"}\n')
    (run / "adapter" / "adapter_model.safetensors").write_bytes(b"weights")
    save(run)
    return run


def save(run: Path, weight: float = 1.0, moment: float = 1.0, name: str = "last.ckpt") -> None:
    checkpoint = {
        "state_dict": {"lora": torch.tensor([weight])},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.tensor([moment])}}}],
        "lr_schedulers": [{"last_epoch": 3}],
        "global_step": 3,
        "epoch": 0,
        "callbacks": {"a path": str(run)},
    }
    torch.save(checkpoint, run / "checkpoints" / name)


def replace(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        text = (run / name).read_text()
        assert old in text
        (run / name).write_text(text.replace(old, new))

    return change


def test_equal_runs_may_differ_in_seconds_settings_and_pictures(tmp_path: Path) -> None:
    assert differences(made_up(tmp_path / "one"), made_up(tmp_path / "the other")) == []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("results.json", replace("results.json", "0.5", "0.6")),
        ("metrics.csv", replace("metrics.csv", "0,0,0.69,\n", "0,0,0.69,\n0,0,0.69,\n")),
        ("metrics.csv", replace("metrics.csv", "0.69", "0.6900001")),
        ("metrics.csv", replace("metrics.csv", "0.69,", "0.6")),
        ("pairs/round_00.jsonl", replace("pairs/round_00.jsonl", "dog", "cat")),
        ("items/round_00.jsonl", replace("items/round_00.jsonl", "dog", "cat")),
        ("adapter/adapter_model.safetensors", replace("adapter/adapter_model.safetensors", "weights", "weighty")),
        ("checkpoints/last.ckpt", lambda run: save(run, weight=1.0000001)),
        ("checkpoints/last.ckpt", lambda run: save(run, moment=1.0000001)),
        ("checkpoints/last.ckpt", lambda run: (run / "checkpoints" / "last.ckpt").write_bytes(b"half")),
    ],
)
def test_a_difference_is_seen(name: str, change: Callable[[Path], None], tmp_path: Path) -> None:
    one, other = made_up(tmp_path / "one"), made_up(tmp_path / "other")
    change(other)
    assert differences(one, other) == [f"{name} differs"]


def test_files_that_are_missing_or_left_over_are_seen(tmp_path: Path) -> None:
    one, other = made_up(tmp_path / "one"), made_up(tmp_path / "other")
    (other / "items" / "round_00.jsonl").unlink()
    save(other, name="last-v1.ckpt")
    assert differences(one, other) == ["items/round_00.jsonl is missing", "checkpoints/last-v1.ckpt is left over"]
