"""Pairs about images, and pairs whose rejected response has a video of its own: what their rows become."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from savi.critique.given import GivenPair
from savi.data.pair_files import read_given_pairs
from savi.types import SaviError
from savi.video.decode import UndecodableClip, decode
from tools.pair_shapes import Said, factory, swift, trl, trl_parts, trl_plain, write_lines

SIZE = (24, 16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images of one size, and a turned one."""
    for index, shade in enumerate((10, 120, 240)):
        picture = np.full((SIZE[1], SIZE[0], 3), shade, np.uint8)
        picture[index, index] = (200, index, 7)
        Image.fromarray(picture).save(tmp_path / f"{index}.png")
    turned = Image.fromarray(np.zeros((SIZE[0], SIZE[1], 3), np.uint8))
    exif = turned.getexif()
    exif[0x0112] = 6  # a quarter to the right
    turned.save(tmp_path / "turned.jpg", exif=exif)
    return tmp_path


def pairs_of(folder: Path, *rows: dict[str, Any]) -> tuple[GivenPair, ...]:
    given = read_given_pairs(str(write_lines(folder / "pairs.jsonl", rows)), cache=folder / "cache")
    assert given.refused == ()
    return given.pairs


def about(row: dict[str, Any], *images: str) -> dict[str, Any]:
    """A row about images, in the place of its video."""
    return {k: v for k, v in row.items() if k not in ("video", "videos")} | {"images": list(images)}


SAID = Said("none.mp4", "what is it?", "a cat", "a dog")


def test_images_are_all_frames_of_one_clip_a_second_apart(folder: Path) -> None:
    tagged = trl_plain(Said("", "<image>\n<image> <image>what is it?", "a cat", "a dog"))
    parts = trl_parts(SAID)
    parts["chosen"][0]["content"][:1] = [{"type": "image", "image": f"{index}.png"} for index in range(3)]
    assert parts["rejected"][0] == parts["chosen"][0]
    names = ("0.png", "1.png", "2.png")
    read = pairs_of(folder, about(trl_plain(SAID), *names), about(trl(SAID), *names), about(tagged, *names), parts)
    assert {(pair.clip, pair.prompt, pair.chosen, pair.rejected) for pair in read} == {
        (read[0].clip, "what is it?", "a cat", "a dog")
    }
    assert read[0].clip.id == "0.png"
    frames = decode(read[0].clip.path, count=32)
    for index, frame in enumerate(frames.pixels.numpy()):
        assert np.array_equal(frame, np.asarray(Image.open(folder / names[index])))
    assert (frames.timestamps, frames.fps, frames.duration) == ((0.0, 1.0, 2.0), 1.0, 3.0)


def test_the_shapes_of_ms_swift_and_llama_factory_tag_their_images(folder: Path) -> None:
    rows = [about(shape(SAID), "1.png") for shape in (swift, factory)]
    rows[0]["messages"][0]["content"] = "<image>what is it?"
    rows[1]["conversations"][0]["value"] = "<image>what is it?"
    first, second = pairs_of(folder, *rows)
    assert first.clip == second.clip
    assert first.prompt == second.prompt == "what is it?"


def test_an_images_clip_is_what_is_in_the_images_and_upright(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, turned, again = pairs_of(
        folder, *(about(trl_plain(SAID), *names) for names in (("0.png",), ("0.png", "turned.jpg"), ("0.png", "1.png")))
    )
    assert len({pair.clip for pair in (one, turned, again)}) == 3, "the first image alone doesn't tell a clip"
    assert decode(turned.clip.path).pixels.shape == (2, SIZE[1], SIZE[0], 3)
    before = one.clip.path.read_bytes()
    shutil.copy(folder / "2.png", folder / "0.png")
    (other,) = pairs_of(folder, about(trl_plain(SAID), "0.png"))
    assert other.clip.path != one.clip.path
    assert one.clip.path.read_bytes() == before
    Image.new("RGB", (5, 5)).save(folder / "small.png")
    with pytest.raises(SaviError, match="its images have different sizes"):
        pairs_of(folder, about(trl_plain(SAID), "1.png", "small.png"))
    Image.new("RGB", SIZE).save(folder / "two.gif", save_all=True, append_images=[Image.new("RGB", SIZE, "red")])
    with pytest.raises(SaviError, match=r"two\.gif is animated"):
        pairs_of(folder, about(trl_plain(SAID), "two.gif"))
    whole = (folder / "1.png").read_bytes()
    (folder / "cut.png").write_bytes(whole[: len(whole) - 30])
    (cut,) = pairs_of(folder, about(trl_plain(SAID), "cut.png"))
    with pytest.raises(UndecodableClip, match="image 1 can't be decoded"):
        decode(cut.clip.path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", SIZE[0] * SIZE[1] // 2 - 1)
    with pytest.raises(SaviError, match=r"1\.png is no image that can be read \(Image size"):
        pairs_of(folder, about(trl_plain(SAID), "1.png"))


def test_a_rejected_video_is_another_clip_behind_the_same_text(folder: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (folder / name).write_bytes(name.encode())
    said = Said("a.mp4", "what is it?", "a cat", "a cat", system="be brief")
    same = Said("a.mp4", "what is it?", "a cat", "a dog")
    rows = [swift(said) | {"rejected_videos": ["b.mp4"]}, swift(same) | {"rejected_video": "a.mp4"}]
    pair, ordinary = pairs_of(folder, *rows)
    assert pair.rejected_clip is not None
    assert [clip.path.name for clip in pair.clips] == ["a.mp4", "b.mp4"]
    assert vars(pair.clip)["opening"] == vars(pair.rejected_clip)["opening"] != ()
    assert ordinary.rejected_clip is None
    one, two = (about(trl_plain(SAID), "0.png") | {"rejected_images": [name]} for name in ("1.png", "0.png"))
    different, equal = pairs_of(folder, one, two)
    assert different.rejected_clip is not None
    assert equal.rejected_clip is None
