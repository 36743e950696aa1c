"""The midpoint rule: numbers worked out by hand, the field's own code, and properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from savi.video.sampling import midpoint_indices

LENGTHS = st.integers(1, 200_000)
COUNTS = st.integers(1, 256)


def test_four_of_nine_by_hand() -> None:
    # last = 8, seg = 2: int(1 + round(2 i)) = 1, 3, 5, 7
    assert midpoint_indices(9, 4) == [1, 3, 5, 7]


def test_halves_round_to_even() -> None:
    # last = 10, seg = 2.5: int(1.25 + round(0, 2.5, 5, 7.5)) = int(1.25 + (0, 2, 5, 8))
    assert midpoint_indices(11, 4) == [1, 3, 6, 9]


def test_thirty_two_of_a_hundred() -> None:
    # last = 99, seg = 3.09375: 1.546875 + round(3.09375 i); i = 31 gives round(95.90625) = 96
    indices = midpoint_indices(100, 32)
    assert indices[:4] == [1, 4, 7, 10]
    assert indices[-1] == 97


def test_short_clips_repeat_frames() -> None:
    # last = 2, seg = 0.25: int(0.125 + round(0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75))
    assert midpoint_indices(3, 8) == [0, 0, 0, 1, 1, 1, 2, 2]
    assert midpoint_indices(1, 4) == [0, 0, 0, 0]


@given(LENGTHS, COUNTS)
def test_equals_the_loaders_of_internvl(n_frames: int, count: int) -> None:
    start, end = 0, n_frames - 1
    size = float(end - start) / count
    published = np.array([int(start + (size / 2) + np.round(size * i)) for i in range(count)])
    assert midpoint_indices(n_frames, count) == published.tolist()


@given(LENGTHS, COUNTS)
def test_indices_rise_within_the_clip(n_frames: int, count: int) -> None:
    indices = midpoint_indices(n_frames, count)
    assert len(indices) == count
    assert indices == sorted(indices)
    assert indices[0] >= 0
    assert indices[-1] < n_frames


@given(COUNTS, st.integers(0, 10_000))
def test_long_clips_repeat_nothing(count: int, extra: int) -> None:
    indices = midpoint_indices(2 * count + extra, count)
    assert len(set(indices)) == count


@pytest.mark.parametrize(("n_frames", "count"), [(0, 1), (1, 0), (-3, 2)])
def test_nothing_to_take_is_an_error(n_frames: int, count: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        midpoint_indices(n_frames, count)
