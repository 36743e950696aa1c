"""Which work may begin ahead of its use: a rule without threads and clocks, which simulations can run as well."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, TypeVar

S = TypeVar("S")
T = TypeVar("T")


class Lookahead(Generic[S, T]):
    """Hands out sources in their order, and gives the outcomes back in it.

    At most `most` sources are begun and not yet taken. Outcomes that wait hold at most `room` bytes, where each one
    under way is counted with the largest so far. The next outcome to be taken may always be worked on.
    """

    def __init__(self, sources: Iterable[S], most: int, room: int) -> None:
        self._sources = iter(sources)
        self._most = most
        self._room = room
        self._begun = 0
        self._taken = 0
        self._done: dict[int, tuple[T, int]] = {}
        self._held = 0
        self._largest = 0
        self.ended = False
        """Whether all sources were begun."""

    def begin(self) -> tuple[int, S] | None:
        """The next source and its number; None where none may be begun now."""
        waiting = self._begun - self._taken
        under_way = waiting - len(self._done)
        too_large = self._held + (under_way + 1) * self._largest > self._room
        if self.ended or waiting >= self._most or (waiting and too_large):
            return None
        try:
            source = next(self._sources)
        except StopIteration:
            self.ended = True
            return None
        self._begun += 1
        return self._begun - 1, source

    def finish(self, number: int, outcome: T, nbytes: int = 0) -> None:
        """The outcome of a source that was begun. nbytes: that it holds until it is taken."""
        self._done[number] = outcome, nbytes
        self._held += nbytes
        self._largest = max(self._largest, nbytes)

    def take(self) -> T:
        """The next outcome in order. Raises KeyError where it isn't there yet."""
        outcome, nbytes = self._done.pop(self._taken)
        self._taken += 1
        self._held -= nbytes
        return outcome

    @property
    def ready(self) -> bool:
        """Whether the next outcome in order is there."""
        return self._taken in self._done

    @property
    def exhausted(self) -> bool:
        """Whether all sources were begun and their outcomes taken."""
        return self.ended and self._taken == self._begun
