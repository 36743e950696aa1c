"""Work dealt out over processes like cards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def shard(work: Sequence[T], rank: int, processes: int) -> Sequence[T]:
    """The share of one process: every so-many-th piece, so that shares differ by one at most."""
    return work[rank::processes]


def chunks(sequence: Sequence[T], size: int) -> list[Sequence[T]]:
    """Consecutive pieces of at most `size`."""
    return [sequence[start : start + size] for start in range(0, len(sequence), size)]
