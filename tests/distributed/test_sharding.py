"""Dealing work out in fair shares."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from savi.distributed.sharding import shard


def test_work_is_dealt_like_cards() -> None:
    assert [shard("abcdefg", rank, 3) for rank in range(3)] == ["adg", "be", "cf"]


@given(st.lists(st.integers(), max_size=30), st.integers(1, 9))
def test_shares_have_all_work_and_differ_by_one(work: list[int], processes: int) -> None:
    shares = [shard(work, rank, processes) for rank in range(processes)]
    assert sorted(piece for share in shares for piece in share) == sorted(work)
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1
