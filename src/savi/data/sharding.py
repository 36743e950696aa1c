"""Work dealt out over processes like cards, and put back into its order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def deal(work: Sequence[T], rank: int, processes: int) -> Sequence[T]:
    """The share of one process: every so-many-th piece, so that shares differ by one at most."""
    return work[rank::processes]


def undeal(shares: Sequence[Sequence[T]]) -> list[T]:
    """The pieces in the order that they had before they were dealt."""
    longest = max(map(len, shares), default=0)
    return [share[turn] for turn in range(longest) for share in shares if turn < len(share)]
