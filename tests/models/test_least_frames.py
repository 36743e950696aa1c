"""How many frames a family needs: as many work, one less is refused before its weights are read."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from savi.inference import ScoreRequest
from savi.models.chat import Chat
from savi.models.families import FAMILIES
from savi.models.load import BaseSettings, load_base
from savi.models.prefix import encode_prefix
from savi.types import SaviError
from tests.miniatures import build_lm, noise_clip
from tests.test_cli import DEMO, complaint
from tools.tiny_models import MINIATURES

PROMPTS = [ScoreRequest(0, "what is it?", ("a cat", "no"))]


@pytest.mark.parametrize("model_type", FAMILIES)
def test_a_clip_of_one_frame_is_scored_as_by_the_plain_model(model_type: str, tmp_path: Path) -> None:
    lm = build_lm(MINIATURES[model_type](tmp_path / "base"))
    clip, frames = noise_clip(0, frames=1)
    with torch.no_grad():
        packed = lm.encode([clip], [frames]).score(PROMPTS).logps
        plain = lm.score_one_by_one([frames], PROMPTS).logps
    torch.testing.assert_close(packed, plain, atol=1e-4, rtol=0)


def test_fewer_are_refused_before_the_weights_are_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = MINIATURES["qwen3_vl"](tmp_path / "base")
    for weights in folder.glob("*.safetensors"):
        weights.unlink()
    with pytest.raises(SaviError, match=r"data\.frames must be at least 2 for models of type qwen3_vl .*, not 1"):
        load_base(BaseSettings(path=str(folder)), frames=1)
    given = ["--data.frames=1", "--data.clip_count=1", "--data.benchmark=null", "--model.prompts.preset=videosavi-1"]
    line = complaint(
        ["fit", "--config", str(DEMO), f"--runs={tmp_path}", f"--model.base.path={folder}", *given], capsys
    )
    assert "data.frames must be at least 2" in line


def test_a_version_of_transformers_that_misplaces_frames_in_time_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("savi.models.load.version", {"transformers": "5.17.0"}.__getitem__)
    with pytest.raises(SaviError, match=r"needs transformers 5\.18 or higher: 5\.17\.0 doesn't encode clips"):
        load_base(BaseSettings(path="world"))


def test_frames_within_a_second_have_times_of_their_own() -> None:
    """32 frames at 8 a second are 16 pairs 0.25 s apart, and the base counts 4 positions per second: one per pair."""
    loaded = load_base(BaseSettings(path="world"))
    _, frames = noise_clip(0, frames=32)
    text = Chat.of(loaded.model, loaded.processor, loaded.family).text("")
    with torch.no_grad():
        times = encode_prefix(loaded.model, loaded.processor, loaded.family, text, frames).positions[0]
    visual = times[times.argmax() - 15 * (times == times.max()).sum() :]
    assert (visual - visual[0]).tolist() == [pair for pair in range(16) for _ in range(len(visual) // 16)]
