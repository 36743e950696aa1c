"""Frames made smaller: the bound, the shape, what is left alone, and how few large frames are held."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from savi.video.reader import read_frames
from savi.video.shrink import shrink
from tests.video.footage import film


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_a_frame_is_brought_under_the_bound_in_its_own_shape() -> None:
    small = shrink(noise(90, 160), 3600)
    assert (small.shape, small.dtype) == ((45, 80, 3), np.uint8)


def test_a_pixel_of_the_small_frame_is_the_mean_of_what_it_stands_for() -> None:
    image = np.broadcast_to(np.arange(16, dtype=np.uint8).reshape(4, 4, 1) * 10, (4, 4, 3)).copy()
    # A triangle two pixels to either side of each centre, cut off at the edge: weights 3/4, 3/4, 1/4 of 7/4.
    rows = np.arange(16, dtype=np.float64).reshape(4, 4) * 10
    weights = np.array([[3, 3, 1, 0], [0, 1, 3, 3]], dtype=np.float64) / 7
    expected = weights @ rows @ weights.T
    assert np.abs(shrink(image, 4)[:, :, 0] - expected).max() <= 1


def test_it_agrees_with_torch_but_for_rounding() -> None:
    """Frames were shrunk with torch before, in the process of the model."""
    image = noise(480, 854)
    ours = shrink(image, 230_400)
    size = ours.shape[:2]
    theirs = interpolate(torch.from_numpy(image)[None].permute(0, 3, 1, 2), size, mode="bilinear", antialias=True)
    difference = np.abs(ours.astype(int) - theirs[0].permute(1, 2, 0).numpy())
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.02


@pytest.mark.parametrize("bound", [None, 90 * 160, 10**6])
def test_frames_within_the_bound_stay_as_they_are(bound: int | None) -> None:
    image = noise(90, 160)
    assert shrink(image, bound) is image


@pytest.mark.parametrize("size", [(20, 5000), (1079, 1919), (100, 101)])
def test_the_bound_holds_for_any_shape(size: tuple[int, int]) -> None:
    height, width = shrink(noise(*size), 1000).shape[:2]
    assert 0.9 * 1000 < height * width <= 1000


def test_large_frames_are_shrunk_and_dropped_one_by_one(tmp_path: Path) -> None:
    """Of 32 sampled frames at most three are held at the file's own size: decoded, converted, shrunk."""
    width, height = 640, 384
    path = film(tmp_path / "large.mp4", 40, size=(width, height))
    read_frames(path, 2, 60, None, 2000)  # what is imported and set up once
    tracemalloc.start()
    pixels = read_frames(path, 32, 60, None, 2000).pixels
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    whole = [shrink(image, 2000) for image in read_frames(path, 32, 60).pixels]
    assert np.array_equal(pixels, np.stack(whole))
    assert peak < 3 * width * height * 3 + pixels.nbytes
