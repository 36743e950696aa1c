"""Labels keep apart, keep their order, and stay as near to what they name as that allows."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from savi.report.labels import spread


@given(targets=st.lists(st.floats(0, 1), min_size=1, max_size=30), gap=st.floats(0.001, 0.2))
def test_labels_are_apart_inside_and_in_order(targets: list[float], gap: float) -> None:
    places = spread(targets, gap, 0.0, 1.0)
    room = min(gap, 1 / max(len(targets) - 1, 1))
    assert all(after - before >= room - 1e-9 for before, after in pairwise(sorted(places)))
    assert all(-1e-9 <= place <= 1 + 1e-9 for place in places)
    by_place = sorted(range(len(targets)), key=places.__getitem__)
    assert [targets[index] for index in by_place] == sorted(targets)


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ([0.5], [0.5]),
        ([0.9, 0.1, 0.5], [0.9, 0.1, 0.5]),  # far enough apart: nothing moves
        ([0.5, 0.5], [0.45, 0.55]),  # both give way
        ([0.5, 0.52, 0.9], [0.46, 0.56, 0.9]),  # only those that collide
        ([0.0, 0.0], [0.0, 0.1]),  # the edge holds
        ([1.0, 0.98], [1.0, 0.9]),
    ],
)
def test_labels_move_no_further_than_they_must(targets: list[float], expected: list[float]) -> None:
    assert spread(targets, 0.1, 0.0, 1.0) == pytest.approx(expected)
