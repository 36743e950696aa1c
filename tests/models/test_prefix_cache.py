"""Prefixes on disk: the same to the bit, and only for the same model, processor, frames and file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from savi.inference import ScoreRequest
from savi.models import prefix_cache
from savi.models.prefix_cache import PrefixCacheSettings, encoder_key
from savi.models.video_lm import VideoLM
from savi.types import Clip, SaviError, identify
from tests.miniatures import build_lm, noise_clip

PROMPTS = [ScoreRequest(0, "what is it?", ("a cat", "no"))]


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"takes the place of a video: only its name, size and date are looked at")
    return Clip("a", path)


def keeping(base: Path, folder: Path, mib: float = 0.0, sampled_as: str = "") -> VideoLM:
    return build_lm(base, prefix_cache=PrefixCacheSettings(mib, str(folder)), sampled_as=sampled_as)


def test_another_process_finds_what_was_encoded(random_base: Path, clip: Clip, tmp_path: Path) -> None:
    """To the bit; tests/models/test_families.py does the same for every family."""
    first = keeping(random_base, tmp_path / "kept")
    session = first.encode([clip], [noise_clip(0)[1]])
    second = keeping(random_base, tmp_path / "kept")
    assert second.is_cached(clip)
    again = second.encode([clip], [None])
    assert torch.equal(again.read.prefixes[0].embeds, session.read.prefixes[0].embeds)
    assert torch.equal(again.score(PROMPTS).logps, session.score(PROMPTS).logps)


def test_another_file_is_another_clip(random_base: Path, clip: Clip, tmp_path: Path) -> None:
    lm = keeping(random_base, tmp_path / "kept")
    lm.encode([clip], [noise_clip(0)[1]])
    assert lm.is_cached(clip)
    os.utime(clip.path, ns=(0, 0))
    assert not lm.is_cached(clip)
    clip.path.unlink()
    assert not lm.is_cached(clip)


def test_the_key_tells_models_processors_and_frames_apart(random_base: Path, clip: Clip, tmp_path: Path) -> None:
    lm = keeping(random_base, tmp_path / "kept")
    lm.encode([clip], [noise_clip(0)[1]])
    assert not keeping(random_base, tmp_path / "kept", sampled_as="16 frames").is_cached(clip)

    def key() -> str:
        return encoder_key(lm.model, lm.processor, lm.family, "")

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
    size_mib = build_lm(random_base).encode([clip], [frames]).read.prefixes[0].nbytes / 2**20
    lm = build_lm(random_base, prefix_cache=PrefixCacheSettings(mib=1.5 * size_mib))
    other = replace(clip, id="b")
    lm.encode([clip, other], [frames, frames])
    assert lm.is_cached(clip)
    assert not lm.is_cached(other)


def test_a_broken_file_is_one_line(random_base: Path, clip: Clip, tmp_path: Path) -> None:
    keeping(random_base, tmp_path / "kept").encode([clip], [noise_clip(0)[1]])
    (file,) = (tmp_path / "kept").iterdir()
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(SaviError, match=rf"{file.name} can't be read .*: delete it"):
        keeping(random_base, tmp_path / "kept").encode([clip], [None])


def replace_unseen(path: Path) -> None:
    """Put another file of the same size and date in the place of a clip's."""
    before = path.stat()
    other = path.with_suffix(".new")
    other.write_bytes(path.read_bytes()[::-1])
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(path)
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def change_in_place(path: Path) -> None:
    before = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("change", [replace_unseen, change_in_place])
@pytest.mark.parametrize("on_disk", [False, True])
def test_a_file_that_was_replaced_is_encoded_anew(
    on_disk: bool, change: Callable[[Path], None], random_base: Path, clip: Clip, tmp_path: Path
) -> None:
    """Even by one of the same size and date: what was kept of the old file is never taken for the new one."""
    settings = PrefixCacheSettings(0.0, str(tmp_path / "kept")) if on_disk else PrefixCacheSettings()
    lm = build_lm(random_base, prefix_cache=settings)
    old = lm.encode([clip], [noise_clip(0)[1]]).read.prefixes[0]
    assert lm.is_cached(clip)
    change(clip.path)
    assert not lm.is_cached(clip)
    with pytest.raises(SaviError, match="its file was replaced"):
        lm.encode([clip], [None])
    new = lm.encode([clip], [noise_clip(1)[1]]).read.prefixes[0]
    assert not torch.equal(new.embeds, old.embeds)
    assert torch.equal(lm.encode([clip], [None]).read.prefixes[0].embeds, new.embeds)


def test_a_file_that_is_replaced_while_it_is_decoded_is_not_kept_as_the_new_one(random_base: Path, clip: Clip) -> None:
    lm = build_lm(random_base)
    frames = replace(noise_clip(0)[1], file=identify(clip.path))
    replace_unseen(clip.path)
    lm.encode([clip], [frames])
    assert not lm.is_cached(clip)


def test_a_file_that_is_gone_has_not_changed(random_base: Path, clip: Clip) -> None:
    lm = build_lm(random_base)
    lm.encode([clip], [noise_clip(0)[1]])
    clip.path.unlink()
    assert lm.is_cached(clip)


def test_another_version_of_transformers_encodes_anew(
    random_base: Path, clip: Clip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping(random_base, tmp_path / "kept").encode([clip], [noise_clip(0)[1]])
    monkeypatch.setattr(prefix_cache.transformers, "__version__", "5.99.0")
    assert not keeping(random_base, tmp_path / "kept").is_cached(clip)
