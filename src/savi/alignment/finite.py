"""A value that isn't finite ends a run before anything takes it: no NaN reaches the adapter or a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from savi.errors import NonFiniteError

REMEDY = (
    "No checkpoint and no file holds it. Try a lower model.optimizer.lr, more model.optimizer.warmup_steps, or another "
    "model.base.dtype or trainer.precision"
)
NAMED = 3
"""Most clips that a message names."""


@contextmanager
def explained(place: str) -> Iterator[None]:
    """Puts the place in a run before a NonFiniteError, and what to try behind it."""
    try:
        yield
    except NonFiniteError as error:
        raise NonFiniteError(f"{place}: {error}. {REMEDY}") from None


def name_clips(clips: list[str]) -> str:
    """The clips of a message: the first few, and how many more there are."""
    named = list(dict.fromkeys(clips))
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return f"{'clip' if len(named) == 1 else 'clips'} {', '.join(named[:NAMED])}{more}"
