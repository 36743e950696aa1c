"""Prefixes on disk: the same to the bit, and only for the same model, processor, frames and file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from savi.files import identify
from savi.inference import ScoreRequest
from savi.models.prefix_cache import PrefixCacheSettings, encoder_key, open_prefix_folder
from savi.models.video_lm import VideoLM
from savi.types import Clip, SaviError
from tests.miniatures import build_lm, noise_clip

PROMPTS = [ScoreRequest(0, "what is it?", ("a cat", "no"))]


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"takes the place of a video: only its name, size and date are looked at")
    return Clip("a", path)


@pytest.fixture(scope="module")
def lm(random_base: Path) -> VideoLM:
    """Never changed."""
    return build_lm(random_base)


def keeping(base: Path, folder: Path, gib: float = 1.0, **more: Any) -> VideoLM:
    """A model that keeps prefixes on disk alone."""
    return build_lm(base, prefix_cache=PrefixCacheSettings(0.0, gib, str(folder)), **more)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_another_process_finds_what_was_encoded(dtype: str, random_base: Path, clip: Clip, tmp_path: Path) -> None:
    """To the bit; tests/models/test_families.py does the same for every family."""
    first = keeping(random_base, tmp_path / "kept", dtype=dtype)
    session = first.encode([clip], [noise_clip(0)[1]])
    second = keeping(random_base, tmp_path / "kept", dtype=dtype)
    assert second.is_cached(clip)
    again = second.encode([clip], [None])
    found, encoded = again.read.prefixes[0], session.read.prefixes[0]
    assert found.tensors.keys() == encoded.tensors.keys()
    for name, tensor in encoded.tensors.items():
        assert found.tensors[name].dtype == tensor.dtype
        assert torch.equal(found.tensors[name], tensor)
    assert (found.next_position, found.tail) == (encoded.next_position, encoded.tail)
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
    before = key()
    lm.model.config.vision_config.spatial_merge_size += 1
    assert key() != before


@pytest.mark.parametrize(
    ("place", "other"),
    [
        ("transformers.__version__", "5.99.0"),
        ("torch.__version__", "2.99.0"),
        ("torch.get_num_threads", lambda: 99),
        ("code_digest", lambda *_: "edited"),
    ],
)
def test_other_code_and_another_machine_encode_anew(
    place: str, other: object, lm: VideoLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may round otherwise, and a run repeats to the bit."""
    before = encoder_key(lm.model, lm.processor, lm.family, "")
    monkeypatch.setattr(f"savi.models.prefix_cache.{place}", other)
    assert encoder_key(lm.model, lm.processor, lm.family, "") != before


def test_memory_is_bounded(random_base: Path, clip: Clip) -> None:
    frames = noise_clip(0)[1]
    size_mib = build_lm(random_base).encode([clip], [frames]).read.prefixes[0].nbytes / 2**20
    lm = build_lm(random_base, prefix_cache=PrefixCacheSettings(mib=1.5 * size_mib))
    other = replace(clip, id="b")
    lm.encode([clip, other], [frames, frames])
    assert lm.is_cached(clip)
    assert not lm.is_cached(other)


def test_the_disk_is_bounded_and_what_no_run_uses_makes_room(random_base: Path, clip: Clip, tmp_path: Path) -> None:
    frames = noise_clip(0)[1]
    clips = [clip]
    for name in "bc":
        clips.append(Clip(name, tmp_path / f"{name}.mp4"))
        clips[-1].path.write_bytes(name.encode())
    keeping(random_base, tmp_path / "one").encode(clips[:1], [frames])
    room = 2.5 * next((tmp_path / "one").iterdir()).stat().st_size / 2**30
    kept = tmp_path / "kept"
    lm = keeping(random_base, kept, room)
    for one in clips:
        lm.encode([one], [frames])
    assert [lm.is_cached(one) for one in clips] == [True, True, False]
    for path in kept.iterdir():
        os.utime(path, (1, 1))
    later = keeping(random_base, kept, room)
    later.encode(clips[1:2], [None])
    later.encode(clips[2:], [frames])
    assert [later.is_cached(one) for one in clips] == [False, True, True]


def test_a_damaged_file_is_removed_and_its_clip_encoded_again(random_base: Path, clip: Clip, tmp_path: Path) -> None:
    """Also where the frames are wanted no more, because the file was there."""
    frames = noise_clip(0)[1]
    whole = keeping(random_base, tmp_path / "kept").encode([clip], [frames]).read.prefixes[0]
    (file,) = (tmp_path / "kept").iterdir()
    data = bytearray(file.read_bytes())
    data[-100] ^= 1
    for damaged in (data, data[:100], b""):
        file.write_bytes(damaged)
        lm = keeping(random_base, tmp_path / "kept", decode=lambda _: frames)
        assert lm.is_cached(clip)
        assert torch.equal(lm.encode([clip], [None]).read.prefixes[0].embeds, whole.embeds)
        assert len(file.read_bytes()) == len(data)
    file.write_bytes(data)
    with pytest.raises(SaviError, match="its file was replaced or removed"):
        keeping(random_base, tmp_path / "kept", decode=lambda _: None).encode([clip], [None])


def test_the_default_folder_is_in_the_cache_and_need_not_be_usable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = open_prefix_folder(PrefixCacheSettings(), tmp_path / "file")
    assert folder is not None
    assert folder.path == tmp_path / "file" / "prefixes"
    (tmp_path / "file").touch()
    folder.write(("key",), 4, [b"data"])
    assert not folder.has(("key",))
    assert open_prefix_folder(PrefixCacheSettings(gib=0), tmp_path) is None
    with pytest.raises(SaviError, match=r"model\.prefix_cache\.folder: .* can't be made"):
        open_prefix_folder(PrefixCacheSettings(folder=str(tmp_path / "file" / "named")), tmp_path)

    def refuse(_: Path) -> bool:
        raise PermissionError

    monkeypatch.setattr(Path, "is_file", refuse)
    assert not folder.has(("key",))


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
    settings = PrefixCacheSettings(0.0, folder=str(tmp_path / "kept")) if on_disk else PrefixCacheSettings()
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
