"""The sheet shows the right frames, in order, whole, and tells their times apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from savi.types import Frames
from savi.video.contact_sheet import CAPTION, GAP, contact_sheet


def make_frames(count: int, height: int = 30, width: int = 40, start: float = 0.0) -> Frames:
    """Frame i is of one colour, whose red channel is 10 + 5 i."""
    pixels = torch.zeros(count, height, width, 3, dtype=torch.uint8)
    pixels[..., 0] = (10 + 5 * torch.arange(count)).to(torch.uint8)[:, None, None]
    times = tuple(start + index / 4 for index in range(count))
    return Frames(pixels, times, tuple(range(count)), fps=4.0, duration=count / 4)


def cells(sheet: Image.Image, columns: int, rows: int, ratio: float = 3 / 4) -> list[tuple[int, int, int, int]]:
    """(left, top, width, height) of every cell."""
    width = (sheet.width - GAP * (columns + 1)) // columns
    height = round(width * ratio)
    return [
        (GAP + column * (width + GAP), GAP + row * (height + CAPTION + GAP), width, height)
        for row in range(rows)
        for column in range(columns)
    ]


def reds(sheet: Image.Image, places: list[tuple[int, int, int, int]]) -> list[int]:
    """The red value in the middle of each cell, after a look at its corners: the frame must fill it."""
    pixels = np.asarray(sheet)
    for left, top, width, height in places:
        cell = pixels[top : top + height, left : left + width]
        assert (cell == cell[0, 0]).all()
    return [int(pixels[top + height // 2, left + width // 2, 0]) for left, top, width, height in places]


def test_frames_are_chosen_by_the_midpoint_rule_and_stand_in_order() -> None:
    sheet = contact_sheet(make_frames(32), columns=4, count=8, width=400)
    chosen = [1, 5, 9, 13, 17, 20, 24, 28]  # int(31 / 16 + round(31 / 8 * i)), a half rounded to the even side
    assert reds(sheet, cells(sheet, 4, 2)) == [10 + 5 * index for index in chosen]


def test_a_short_clip_shows_each_frame_once_over_the_whole_width() -> None:
    sheet = contact_sheet(make_frames(3), width=400)
    assert sheet.width == 400
    assert reds(sheet, cells(sheet, 3, 1)) == [10, 15, 20]


@pytest.mark.parametrize(("height", "width"), [(30, 40), (40, 30), (9, 160)])
def test_frames_keep_their_shape(height: int, width: int) -> None:
    sheet = contact_sheet(make_frames(8, height, width), width=808)
    (_, top, cell_width, cell_height), *_ = cells(sheet, 8, 1, height / width)
    assert sheet.height == top + cell_height + CAPTION + GAP
    assert abs(cell_height / cell_width - height / width) < 0.02


def test_an_unfinished_last_row_stays_white() -> None:
    sheet = contact_sheet(make_frames(5), columns=4, count=5, width=400)
    places = cells(sheet, 4, 2)
    assert reds(sheet, places) == [10, 15, 20, 25, 30, 255, 255, 255]


def captions(sheet: Image.Image, columns: int) -> list[bytes]:
    return [
        sheet.crop((left, top + height, left + width, top + height + CAPTION)).tobytes()
        for left, top, width, height in cells(sheet, columns, 1)
    ]


def test_every_frame_has_its_own_time_below_it() -> None:
    sheet = contact_sheet(make_frames(4), columns=4, count=4, width=400)
    later = contact_sheet(make_frames(4, start=7.5), columns=4, count=4, width=400)
    shifted = contact_sheet(make_frames(4, start=0.25), columns=4, count=4, width=400)
    assert len(set(captions(sheet, 4))) == 4
    assert all(ours != theirs for ours, theirs in zip(captions(sheet, 4), captions(later, 4), strict=True))
    assert captions(sheet, 4)[1:] == captions(shifted, 4)[:3], "the caption is the time, not the number"
