"""Families that scale every frame to a size of their own take no bound on it: it would be scaled twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from savi.cli.config import PACKAGED
from savi.cli.main import main
from savi.models.families import FAMILIES
from savi.models.load import BaseSettings, load_base, load_known
from savi.types import SaviError
from savi.world.clips import training_clips
from tests.miniatures import noise_clip
from tests.test_checkpoints import CHECKPOINTS, EXPERIMENTS
from tests.test_cli import DEMO, complaint
from tools.pair_shapes import Said, trl, write_lines
from tools.tiny_models import MINIATURES

OWN_SIZE = [name for name, family in FAMILIES.items() if family.own_size]


@pytest.mark.parametrize("model_type", OWN_SIZE)
def test_small_and_large_frames_become_frames_of_one_size(model_type: str, tmp_path: Path) -> None:
    known = load_known(BaseSettings(path=str(MINIATURES[model_type](tmp_path / "base"))))
    shapes = [
        {
            name: value.shape
            for name, value in known.family.video_inputs(known.processor, known.chat.text(""), frames).items()
        }
        for _, frames in (noise_clip(0, 60, 120, 4), noise_clip(0, 480, 960, 4))
    ]
    assert shapes[0] == shapes[1]


def test_a_bound_on_their_frames_is_refused_before_the_weights_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = MINIATURES["internvl"](tmp_path / "base")
    for weights in folder.glob("*.safetensors"):
        weights.unlink()
    with pytest.raises(SaviError, match=r"data\.max_pixels must be null for models of type internvl "):
        load_base(BaseSettings(path=str(folder)), max_pixels=5000)
    given = ["--data.max_pixels=5000", "--data.clip_count=1", "--data.benchmark=null"]
    line = complaint(
        ["fit", "--config", str(DEMO), f"--runs={tmp_path}", f"--model.base.path={folder}", *given], capsys
    )
    assert "data.max_pixels must be null" in line


def test_families_that_read_any_size_take_a_bound(tmp_path: Path) -> None:
    assert load_known(BaseSettings(path="world"), max_pixels=5000).family.model_type == "qwen2_5_vl"


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_the_experiments_bound_the_frames_of_the_others_alone(name: str) -> None:
    shared = yaml.safe_load((PACKAGED / "qlora.yaml").read_text())["data"]
    data = shared | yaml.safe_load((EXPERIMENTS / f"{name}.yaml").read_text()).get("data", {})
    assert (data["max_pixels"] is None) == FAMILIES[CHECKPOINTS[name][1]].own_size


def test_a_run_that_began_with_a_bound_ends_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused now, it could neither be resumed nor validated."""
    video = training_clips(tmp_path / "clips", 1, seed=11)[0].path
    write_lines(tmp_path / "pairs.jsonl", [trl(Said(str(video), "what is it?", "a cat", "a dog"))])
    base = MINIATURES["internvl"](tmp_path / "base")
    given = [
        "fit",
        "--config=pairs",
        f"--runs={tmp_path / 'runs'}",
        f"--model.base.path={base}",
        f"--data.pairs={tmp_path / 'pairs.jsonl'}",
        "--data.frames=4",
        "--data.max_pixels=5000",
        "--data.benchmark=null",
        "--trainer.enable_progress_bar=false",
    ]
    with monkeypatch.context() as earlier:
        earlier.setitem(FAMILIES, "internvl", replace(FAMILIES["internvl"], own_size=False))
        main([*given, "--trainer.max_epochs=1"])
    main([*given, "--trainer.max_epochs=2", "--ckpt_path=last"])
    results = json.loads((tmp_path / "runs" / "pairs" / "version_0" / "results.json").read_text())
    assert [entry["round"] for entry in results["rounds"]] == [1, 2]
