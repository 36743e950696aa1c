"""Clips in small: within their bounds, as fast as the clip, and readable."""

from __future__ import annotations

from io import BytesIO

import av
import pytest
import torch
from PIL import Image

from savi.types import Frames
from savi.video.preview import MOST_FRAMES, MOST_PIXELS, preview


def frames_of(count: int, height: int, width: int, seconds: float) -> Frames:
    pixels = torch.zeros(count, height, width, 3, dtype=torch.uint8)
    pixels[:, :, : width // 2, 0] = 255
    times = tuple(seconds * index for index in range(count))
    return Frames(pixels, times, tuple(range(count)), 1 / seconds, count * seconds)


@pytest.mark.parametrize(
    ("count", "height", "width", "size"),
    [(4, 6, 8, (8, 6)), (1, 7, 9, (8, 6)), (100, 720, 1280, (256, 144)), (3, 1280, 401, (80, 256))],
)
def test_a_video_has_the_clips_speed_and_bounded_frames(
    count: int, height: int, width: int, size: tuple[int, int]
) -> None:
    made = preview(frames_of(count, height, width, seconds=0.5), ["mp4", "gif"])
    with av.open(BytesIO(made.videos["mp4"])) as container:
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        rate = container.streams.video[0].average_rate
    with Image.open(BytesIO(made.videos["gif"])) as gif:
        assert gif.size == (shown[0].shape[1], shown[0].shape[0]) == size
        assert getattr(gif, "n_frames", 1) in (1, len(shown))  # equal frames are joined
    assert len(shown) == min(count, MOST_FRAMES)
    assert max(size) <= MOST_PIXELS
    assert shown[0][size[1] // 2, 1, 0] > 150
    if count > 1:
        assert float(rate or 0) == pytest.approx(2 * min(count, MOST_FRAMES) / count, rel=0.1)
