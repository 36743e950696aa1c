"""The experiments with published checkpoints: each runs whole, on the miniature of its family, on a CPU."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from bitsandbytes.nn import Linear4bit

from savi.cli import main
from savi.inference import GenerateRequest, Reply
from savi.models.session import VideoLMSession
from savi.training.module import SelfAlignment
from savi.types import Sampling
from tests.video.footage import film
from tools.bench.fits import main as print_sizes
from tools.tiny_models import MINIATURES

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
CHECKPOINTS = {
    "qwen2_5_vl_3b": ("Qwen/Qwen2.5-VL-3B-Instruct", "qwen2_5_vl"),
    "qwen2_5_vl_7b": ("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2_5_vl"),
    "internvl3_8b": ("OpenGVLab/InternVL3-8B-hf", "internvl"),
    "smolvlm2_2b": ("HuggingFaceTB/SmolVLM2-2.2B-Instruct", "smolvlm"),
    "llava_onevision_7b": ("llava-hf/llava-onevision-qwen2-7b-ov-hf", "llava_onevision"),
    "qwen3_vl_8b": ("Qwen/Qwen3-VL-8B-Instruct", "qwen3_vl"),
}


def said(prompt: str) -> str:
    """A random model writes noise: its replies are genuine, then replaced by these, so that there are pairs."""
    if prompt.startswith("Write"):
        when = "first" if "in time" in prompt else "on the left"
        return f"1. what is {when}?\n2. what isn't {when}?\n3. who is {when}?"
    if "Notes on the draft:" in prompt:
        return "it is a cat on the mat"
    return "there is no dog" if "Proposed answer:" in prompt else "it is a dog on the mat"


def test_every_published_checkpoint_has_its_experiment() -> None:
    extending = {path.stem for path in EXPERIMENTS.glob("*.yaml") if "extends: qlora.yaml" in path.read_text()}
    assert extending == CHECKPOINTS.keys()


def test_the_tables_of_sizes_are_those_that_are_computed(capsys: pytest.CaptureFixture[str]) -> None:
    root = EXPERIMENTS.parent
    print_sizes()
    printed = capsys.readouterr().out
    *tables, unseen, _ = printed.strip().split("\n\n")
    assert len(tables) == 2
    assert all(table in (root / "docs" / "models.md").read_text() for table in tables)
    assert unseen.rpartition(": ")[2] in " ".join((root / "docs" / "speed.md").read_text().split())


FIRST = "qwen2_5_vl_3b"
"""The others differ from it by their family, and tests/models has a suite of all families."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == FIRST else pytest.mark.slow) for name in CHECKPOINTS]
)
def test_the_experiment_runs_on_the_miniature_of_its_family(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, model_type = CHECKPOINTS[name]
    written = yaml.safe_load((EXPERIMENTS / f"{name}.yaml").read_text())
    assert written["model"]["base"]["path"] == checkpoint
    modules = []
    configure = SelfAlignment.configure_model

    def keep(module: SelfAlignment) -> None:
        configure(module)
        modules.append(module)

    write = VideoLMSession.generate

    def generate(session: VideoLMSession, requests: Sequence[GenerateRequest], _: Sampling) -> list[Reply]:
        replies = write(session, requests, Sampling(max_new_tokens=3))
        texts = [said(request.prompt) for request in requests]
        return [replace(r, text=text, finished=True) for r, text in zip(replies, texts, strict=True)]

    monkeypatch.setattr(SelfAlignment, "configure_model", keep)
    monkeypatch.setattr(VideoLMSession, "generate", generate)
    base = MINIATURES[model_type](tmp_path / "base")
    clips = tmp_path / "clips"
    clips.mkdir()
    for index in range(4):
        film(clips / f"{index}.mp4", frames=40 + index, size=(800, 320))
    main(
        [
            "fit",
            f"--config={EXPERIMENTS / name}.yaml",
            f"--runs={tmp_path / 'runs'}",
            f"--model.base.path={base}",
            "--model.base.dtype=float32",
            "--model.filters.most_logp_drop=null",  # random weights find any text implausible
            "--model.filters.language_logp=null",
            "--model.filters.same_meaning=content",  # and judge at random
            f"--data.clips={clips}",
            f"--data.cache={tmp_path / 'cache'}",
            "--trainer.max_epochs=1",
            "--trainer.enable_progress_bar=false",
        ]
    )
    module = modules[0]
    assert any(getattr(part, "gradient_checkpointing", False) for part in module.video_lm.model.modules())
    assert any(isinstance(part, Linear4bit) for part in module.video_lm.model.modules())
    run = tmp_path / "runs" / name / "version_0"
    before, entry = json.loads((run / "results.json").read_text())["rounds"]
    assert entry["pairs"] == 3 * 6
    for one in (before["held_out"], entry["held_out"]):
        assert (one["clips"], one["questions"], one["agreement"]["mean"], one["malformed"]["mean"]) == (1, 6, 1.0, 0.0)
    assert entry["held_out"]["agreement"]["change"] == 0
    checkpoint_file: Any = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint_file["global_step"] == 1
    moments = checkpoint_file["optimizer_states"][0]["state"].values()
    assert moments
    assert not any("exp_avg" in state for state in moments)  # as torch's own AdamW calls them
    assert (run / "adapter" / "adapter_model.safetensors").is_file()
