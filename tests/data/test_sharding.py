"""Dealing work out: fair shares that come back in their order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from savi.data.sharding import deal, undeal


def test_work_is_dealt_like_cards() -> None:
    assert [deal("abcdefg", rank, 3) for rank in range(3)] == ["adg", "be", "cf"]
    assert undeal(["adg", "be", "cf"]) == list("abcdefg")


@given(st.lists(st.integers(), max_size=30), st.integers(1, 9))
def test_shares_come_back_in_order_and_differ_by_one(work: list[int], processes: int) -> None:
    shares = [deal(work, rank, processes) for rank in range(processes)]
    assert undeal(shares) == work
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1
