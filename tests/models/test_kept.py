"""Prefixes on disk: the same to the bit, and only for the same model, processor, frames and file."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from savi.models.kept import KeepSettings, watcher_key
from savi.models.video_lm import VideoLM
from savi.types import Clip, Question, SaviError
from tests.miniatures import build_lm, noise_clip

QUESTIONS = [Question(0, "what is it?", ("a cat", "no"))]


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"stands in for a video: only its name, size and date are looked at")
    return Clip("a", path)


def keeping(base: Path, folder: Path, mib: float = 0.0, sampled_as: str = "") -> VideoLM:
    return build_lm(base, keep=KeepSettings(mib, str(folder)), sampled_as=sampled_as)


def test_another_process_finds_what_was_watched(random_base: Path, clip: Clip, tmp_path: Path) -> None:
    """To the bit; tests/models/test_families.py does the same for every family."""
    first = keeping(random_base, tmp_path / "kept")
    watched = first.watch([clip], [noise_clip(0)[1]])
    second = keeping(random_base, tmp_path / "kept")
    assert second.is_kept(clip)
    again = second.watch([clip], [None])
    assert torch.equal(again.prefixes[0].embeds, watched.prefixes[0].embeds)
    assert torch.equal(second.score(again, QUESTIONS).logps, first.score(watched, QUESTIONS).logps)


def test_another_file_is_another_clip(random_base: Path, clip: Clip, tmp_path: Path) -> None:
    lm = keeping(random_base, tmp_path / "kept")
    lm.watch([clip], [noise_clip(0)[1]])
    assert lm.is_kept(clip)
    os.utime(clip.path, ns=(0, 0))
    assert not lm.is_kept(clip)
    clip.path.unlink()
    assert not lm.is_kept(clip)


def test_the_key_tells_models_processors_and_frames_apart(random_base: Path, clip: Clip, tmp_path: Path) -> None:
    lm = keeping(random_base, tmp_path / "kept")
    lm.watch([clip], [noise_clip(0)[1]])
    assert not keeping(random_base, tmp_path / "kept", sampled_as="16 frames").is_kept(clip)

    def key() -> str:
        return watcher_key(lm.model, lm.processor, lm.family, "")

    before = key()
    next(p for n, p in lm.peft_model.named_parameters() if "lora_A" in n).data += 1.0
    assert key() == before, "an adapter changes nothing in front of the decoder"
    lm.processor.video_processor.rescale_factor *= 2
    assert key() != before
    lm.processor.video_processor.rescale_factor /= 2
    assert key() == before
    next(lm.model.model.visual.parameters()).data[:1] += 1.0
    assert key() != before


def test_memory_is_bounded_and_the_disk_is_not(random_base: Path, clip: Clip, tmp_path: Path) -> None:
    frames = noise_clip(0)[1]
    size_mib = build_lm(random_base).watch([clip], [frames]).prefixes[0].nbytes / 2**20
    lm = build_lm(random_base, keep=KeepSettings(mib=1.5 * size_mib))
    other = replace(clip, id="b")
    lm.watch([clip, other], [frames, frames])
    assert lm.is_kept(clip)
    assert not lm.is_kept(other)


def test_a_broken_file_is_one_line(random_base: Path, clip: Clip, tmp_path: Path) -> None:
    keeping(random_base, tmp_path / "kept").watch([clip], [noise_clip(0)[1]])
    (file,) = (tmp_path / "kept").iterdir()
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(SaviError, match=rf"{file.name} can't be read .*: delete it"):
        keeping(random_base, tmp_path / "kept").watch([clip], [None])
