"""Clips that a run never learns from, so that it can be measured on them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from savi.errors import SaviError, check_number
from savi.types import Clip, derive_seed

LEAST = 8
"""Clips that are held out however small the share is, but never more than a quarter of all."""


MOST = 100
"""The default of data.held_out_clips."""


def check_held_out(share: float, most: int | None, pairs: str | None) -> int:
    """The most clips that are held out. Raises SaviError for settings that don't go together. pairs: data.pairs."""
    check_number("data.held_out", share, least=0, below=1)
    if most is not None:
        check_number("data.held_out_clips", most, least=1)
    if share and pairs is not None:
        raise SaviError("data.held_out has no effect with data.pairs: the clips are those of the pairs; leave it out")
    if most is not None and not share:
        raise SaviError("data.held_out_clips has no effect without data.held_out; leave it out")
    return MOST if most is None else most


def hold_out(
    clips: Sequence[Clip], share: float, most: int, asked: Collection[Path] = ()
) -> tuple[list[Clip], list[Clip]]:
    """The clips to learn from, and those to measure on, both in their order.

    A clip is held out by a hash of its id, so that it stays so when others are added. share: of the clips, above 0.
    most: clips that are held out. asked: files of labelled questions, which nothing is learned from either.
    Raises SaviError where no clip would be left for one of the two.
    """
    ranks = {clip: derive_seed("held out", clip.id) / 2**63 for clip in clips}
    order = sorted(clips, key=lambda clip: ranks[clip])
    wanted = sum(rank < share for rank in ranks.values())
    held = set(order[: min(most, max(wanted, min(LEAST, len(clips) // 4)))])
    known = {path.resolve() for path in asked}
    rest = [clip for clip in clips if clip not in held and clip.path.resolve() not in known]
    if not held or not rest:
        raise SaviError(
            f"data.held_out: {len(clips)} clips are too few to hold some of them out; give more, or set it to 0"
        )
    return rest, [clip for clip in clips if clip in held]
