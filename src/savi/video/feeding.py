"""Frames for one batch of clips after another, decoded ahead over the borders of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from savi.types import Excerpt, Frames
from savi.video.decode import UndecodableClip

B = TypeVar("B")

Source = Path | Excerpt | UndecodableClip | None
"""A file to decode; or why a clip has no frames; or None for a clip that needs none."""

Outcome = Frames | UndecodableClip | None
"""What comes of a source."""

Decode = Callable[[Iterable[Any]], Iterator[Any]]
"""Gives the outcomes of sources in their order, ahead of their use. What is no source comes through as it is."""


@dataclass(frozen=True)
class _Border(Generic[B]):
    """Goes before the sources of a batch."""

    batch: B
    clips: int


def feed(batches: Iterable[tuple[B, Sequence[Any]]], decode: Decode) -> Iterator[tuple[B, tuple[Any, ...]]]:
    """Each batch with the outcomes of its sources.

    The batches are made as the decoding comes to them, in one of its threads: a batch or so before they are used.
    """

    def sources() -> Iterator[Any]:
        for batch, of_batch in batches:
            yield _Border(batch, len(of_batch))
            yield from of_batch

    decoded = decode(sources())
    for border in decoded:
        yield border.batch, tuple(next(decoded) for _ in range(border.clips))
