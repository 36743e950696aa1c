"""Filters of a user's own, which an experiment file names with `model.own_filters`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from savi.critique.filters import FILTERS, REFUSALS
from savi.critique.plugin import Plugin
from savi.errors import SaviError
from savi.types import Aspect, Clip, Turn

OUTCOMES = {*FILTERS, *REFUSALS, "pair"}
"""What a question's outcome means already."""


@dataclass(frozen=True)
class Candidate:
    """A question with the two responses that are about to become a pair.

    clip: what the question is about (`clip.id` is its name, `clip.path` its file). critique: "" where nobody
    criticized. turns: all that was said, word for word, the question's turn first. round: from 0.
    """

    clip: Clip
    round: int
    aspect: Aspect
    question: str
    chosen: str
    rejected: str
    critique: str
    turns: Sequence[Turn]


class PairFilter(Plugin, ABC):
    """Keeps pairs out of a round. It sees those that savi's own filters of texts have left."""

    place: ClassVar[str] = "model.own_filters"

    reasons: ClassVar[Sequence[str]] = ()
    """The names under which it takes pairs. They are counted and shown next to those of savi's own filters."""

    @abstractmethod
    def reason(self, candidate: Candidate) -> str | None:
        """One of `reasons` for a pair that is to be left out, None for one that may stay.

        It depends on the candidate alone: other processes, and a resumed run, have not seen the pairs before it.
        """


def names_of(filters: Sequence[PairFilter]) -> tuple[str, ...]:
    """The reasons of all filters, in their order. Raises SaviError for a filter that names none, or no usable ones."""
    for own in filters:
        kind = type(own).__name__
        if not isinstance(own.reasons, tuple | list) or not own.reasons:
            raise SaviError(f"model.own_filters: {kind}.reasons must be a tuple with the name of at least one reason")
        for name in own.reasons:
            if not isinstance(name, str) or not name.strip() or not name.isprintable():
                raise SaviError(f"model.own_filters: {kind}.reasons has {name!r}, which is no text of one line")
            if name.replace("_", " ") in OUTCOMES or name.startswith("pairs"):  # metrics write blanks as "_"
                raise SaviError(f"model.own_filters: {kind}.reasons has {name!r}, which means something else in savi")
    return tuple(dict.fromkeys(name for own in filters for name in own.reasons))


def filter_by_own(candidate: Candidate, filters: Sequence[PairFilter]) -> str | None:
    """The reason of the first filter that takes a pair. Raises SaviError for a filter that fails, or that returns
    anything but one of its reasons."""
    for own in filters:
        kind = type(own).__name__
        try:
            reason = own.reason(candidate)
        except Exception as error:
            raise SaviError(
                f"model.own_filters: {kind} failed on clip {candidate.clip.id}, question {candidate.question!r}: "
                f"{type(error).__name__}: {error}"
            ) from error
        if reason is not None and reason not in own.reasons:
            raise SaviError(f"model.own_filters: {kind} returned {reason!r}, which is none of its reasons")
        if reason is not None:
            return reason
    return None
