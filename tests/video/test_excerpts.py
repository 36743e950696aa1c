"""Parts of a video, and folders of images: the right frames, by the numbers that the frames show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from savi.types import Excerpt
from savi.video.decode import UndecodableClip, decode
from savi.video.sampling import excerpt_indices, midpoint_indices
from tests.video.footage import draw, film, numbers_in


def official(bound: tuple[float, float], fps: float, last: int, first: int, count: int) -> list[int]:
    """The arithmetic of MVBench's notebook (get_index), written down apart from ours."""
    start, end = max(first, round(bound[0] * fps)), min(round(bound[1] * fps), last)
    size = float(end - start) / count
    return [int(start + size / 2 + np.round(size * index)) for index in range(count)]


@given(
    st.integers(1, 3000), st.integers(1, 64), st.floats(1, 60), st.floats(0, 20), st.floats(0, 60), st.integers(0, 1)
)
def test_a_span_is_sampled_as_the_benchmark_samples_it(
    frames: int, count: int, rate: float, start: float, length: float, first: int
) -> None:
    span = (start, start + length)
    if max(first, round(start * rate)) > min(round(span[1] * rate), first + frames - 1):
        with pytest.raises(ValueError, match="no frame"):
            excerpt_indices(frames, count, rate, span, first)
    else:
        assert excerpt_indices(frames, count, rate, span, first) == official(
            span, rate, first + frames - 1, first, count
        )


def test_the_whole_span_is_the_whole_clip() -> None:
    assert excerpt_indices(100, 32, 25.0, (0.0, 4.0)) == midpoint_indices(100, 32)


def test_two_seconds_out_of_the_middle(tmp_path: Path) -> None:
    # 25 frames a second: frames 25 to 75, seg 12.5: int(25 + 6.25 + round(12.5 i)) for i = 0 to 3: 0, 12, 25, 38
    path = film(tmp_path / "clip.mp4", 100)
    frames = decode(Excerpt("clip", path, (1.0, 3.0)), 4)
    assert numbers_in(frames.pixels) == list(frames.indices) == [31, 43, 56, 69]
    assert frames.timestamps == pytest.approx([31 / 25, 43 / 25, 56 / 25, 69 / 25])


def test_a_span_behind_the_end_is_refused(tmp_path: Path) -> None:
    path = film(tmp_path / "clip.mp4", 50)
    with pytest.raises(UndecodableClip, match="no frame between 3 and 4 s"):
        decode(Excerpt("clip", path, (3.0, 4.0)), 4)


def images(folder: Path, count: int) -> Path:
    """Images 00001.jpg, ... that show their own numbers."""
    folder.mkdir()
    for number in range(1, count + 1):
        Image.fromarray(draw(number)).save(folder / f"{number:05}.jpg")
    return folder


def test_a_folder_of_images_counts_from_one(tmp_path: Path) -> None:
    folder = images(tmp_path / "clip", 30)
    whole = decode(Excerpt("clip", folder, None, 3.0), 4)
    assert numbers_in(whole.pixels) == official((-100, 100), 3.0, 30, 1, 4)
    part = decode(Excerpt("clip", folder, (2.0, 6.0), 3.0), 4)
    # images 6 to 18, seg 3: int(6 + 1.5 + 3 i)
    assert numbers_in(part.pixels) == [7, 10, 13, 16]
    assert part.timestamps == pytest.approx([2.0, 3.0, 4.0, 5.0])
    assert part.duration == pytest.approx(10.0)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UndecodableClip, match="no images"):
        decode(Excerpt("clip", tmp_path, None, 3.0), 4)
    (tmp_path / "00001.jpg").write_text("not an image")
    with pytest.raises(UndecodableClip, match=r"00001\.jpg"):
        decode(Excerpt("clip", tmp_path, None, 3.0), 4)
