"""Frames made smaller: the bound, the shape, and what is left alone."""

from __future__ import annotations

import pytest
import torch

from savi.video.shrink import shrink
from tests.miniatures import noise_clip


def test_a_frame_is_brought_under_the_bound_in_its_own_shape() -> None:
    _, frames = noise_clip(0, 90, 160, frames=3)
    small = shrink(frames, 3600)
    assert small.pixels.shape == (3, 45, 80, 3)
    assert small.pixels.dtype == torch.uint8
    assert (small.timestamps, small.fps) == (frames.timestamps, frames.fps)


def test_a_pixel_of_the_small_frame_is_the_mean_of_what_it_stands_for() -> None:
    _, frames = noise_clip(0, 4, 4, frames=1)
    frames.pixels[:] = torch.arange(16, dtype=torch.uint8).view(1, 4, 4, 1) * 10
    # A triangle two pixels to either side of each centre, cut off at the edge: weights 3/4, 3/4, 1/4 of 7/4.
    rows = torch.arange(16, dtype=torch.float64).view(4, 4) * 10
    weights = torch.tensor([[3, 3, 1, 0], [0, 1, 3, 3]], dtype=torch.float64) / 7
    expected = weights @ rows @ weights.T
    assert (shrink(frames, 4).pixels[0, :, :, 0].double() - expected).abs().max() <= 1


@pytest.mark.parametrize("bound", [None, 90 * 160, 10**6])
def test_frames_within_the_bound_stay_as_they_are(bound: int | None) -> None:
    _, frames = noise_clip(0, 90, 160, frames=2)
    assert shrink(frames, bound) is frames


@pytest.mark.parametrize("size", [(20, 5000), (1079, 1919), (100, 101)])
def test_the_bound_holds_for_any_shape(size: tuple[int, int]) -> None:
    _, frames = noise_clip(0, *size, frames=1)
    height, width = shrink(frames, 1000).pixels.shape[1:3]
    assert 0.9 * 1000 < height * width <= 1000
