"""A processor's outputs that were made ahead of their use. On a device they are: tests/test_pretended_device.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from savi.conversations import Message
from savi.models.family import Family
from savi.models.packed import PackedSharing
from savi.models.video_lm import VideoLM
from savi.types import Clip, Frames, OpenedClip, Prepared
from tests.miniatures import build_lm, noise_clip
from tools.tiny_models import MINIATURES

CLIP, FRAMES = noise_clip(0, 32, 64, frames=4)
OPENED = OpenedClip("opened", CLIP.path, (Message("system", "Be brief."), Message("user", "", video=0)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return MINIATURES["qwen2_5_vl"](tmp_path_factory.mktemp("model"))


@pytest.fixture
def lm(folder: Path) -> VideoLM:
    return build_lm(folder)


@pytest.fixture
def processed(monkeypatch: pytest.MonkeyPatch) -> list[Frames]:
    """The frames that the processor works on from now on."""
    seen: list[Frames] = []
    before = Family.video_inputs

    def noted(self: Family, processor: Any, text: str, frames: Frames) -> dict[str, torch.Tensor]:
        seen.append(frames)
        return before(self, processor, text, frames)

    monkeypatch.setattr(Family, "video_inputs", noted)
    return seen


def ahead(lm: VideoLM, maker: object) -> Frames:
    inputs = lm.family.video_inputs(lm.processor, lm.chat.text(""), FRAMES)
    return replace(FRAMES, prepared=Prepared(maker, inputs))


def embeds(lm: VideoLM, clip: Clip, frames: Frames) -> torch.Tensor:
    """Of the clip's prefix."""
    read: Any = lm.encode([clip], [frames]).read
    return read.prefixes[0].embeds


def test_what_was_made_ahead_is_not_made_again(lm: VideoLM, folder: Path, processed: list[Frames]) -> None:
    frames = ahead(lm, lm.sharing)
    processed.clear()
    prefix = embeds(lm, CLIP, frames)
    assert processed == []
    torch.testing.assert_close(prefix, embeds(build_lm(folder), CLIP, FRAMES), rtol=0, atol=0)


def test_another_models_and_another_texts_inputs_are_not_taken(lm: VideoLM, processed: list[Frames]) -> None:
    """A critic has a processor of its own, and the inputs are of a chat that begins with the clip."""
    for clip, maker in ((CLIP, object()), (OPENED, lm.sharing)):
        frames = ahead(lm, maker)
        processed.clear()
        embeds(lm, clip, frames)
        assert processed == [frames]


def test_inputs_are_handed_over_once() -> None:
    """Nobody holds on to them: a clip's take much more memory than its frames."""
    inputs = {"pixel_values": torch.zeros(6, 2)}
    prepared = Prepared("maker", inputs)
    assert replace(FRAMES, prepared=prepared).nbytes == FRAMES.nbytes + 48
    assert prepared.take("another") is None
    assert prepared.take("maker") is inputs
    assert prepared.take("maker") is None


def test_a_model_on_a_cpu_prepares_nothing(lm: VideoLM) -> None:
    assert isinstance(lm.sharing, PackedSharing)
    assert lm.prepare(FRAMES) is FRAMES
