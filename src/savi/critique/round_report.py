"""What a user is told of a round that was built, and the refusal of one that nothing can be learned from.

filters: the names of losses, below, as :meth:`savi.methods.PairMethod.filters` gives them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from savi.critique.builder import BuiltRound
from savi.critique.filters import OWN_REMEDY, REFUSALS, REMEDIES, UNDECODABLE
from savi.types import SaviError

MOST_UNFINISHED = 1 / 3
"""Share of a turn's replies that may be cut off without a warning."""

LISTED = 20
"""Most clips, or rows of files, named on the terminal. The run's folder has all of them."""


def left_out(built: BuiltRound) -> Iterator[str]:
    """The clips of the first round without frames. Later rounds have the same, and the run's end lists them again."""
    if built.round == 0:
        for video, reason in list(built.rejected.items())[:LISTED]:
            yield f"Left out: {video}: {reason}"


def so_far(counts: Mapping[str, int]) -> str:
    """The pairs and the share of questions that were filtered, of an unfinished round. counts: as PairStore.counts."""
    taken = sum(count for name, count in counts.items() if not name.startswith("pairs") and name != UNDECODABLE)
    pairs = counts.get("pairs", 0)
    return f"{pairs} pairs, {100 * taken // max(pairs + taken, 1)} % filtered"


def refuse_empty(built: BuiltRound, clips: int, filters: Sequence[str]) -> None:
    """Raises SaviError where none of the clips could be decoded, or the filters left no pair."""
    if len(built.rejected) == clips:
        raise SaviError(f"none of the {clips} clips could be decoded; the reasons are in {built.traces}")
    if not built.pairs:
        worst = max(filters, key=lambda name: built.counts.get(name, 0))
        raise SaviError(
            f"round {built.round + 1} has no pair to learn from; filtered: {_filtered(built, filters)}. "
            f"{(REMEDIES | REFUSALS).get(worst, OWN_REMEDY)}; every turn is in {built.traces}"
        )


def summary(built: BuiltRound, filters: Sequence[str]) -> str:
    """The pairs, the filters and, of a model that wrote replies, those that were cut off, in one line."""
    line = f"Round {built.round + 1}: {len(built.pairs)} pairs; filtered: {_filtered(built, filters)}"
    # Few of many replies are told, too: "none" next to a filtered one would be wrong.
    shares = [f"{turn} {_percent(share)}" for turn, share in built.unfinished.items() if share]
    return f"{line}; cut off: {', '.join(shares) or 'none'}" if built.unfinished else line


def warnings(built: BuiltRound) -> Iterator[str]:
    """The turns whose limit of tokens is too low."""
    for turn, share in built.unfinished.items():
        if share > MOST_UNFINISHED:
            yield (
                f"{100 * share:.0f} % of the replies of the turn {turn!r} were cut off: raise "
                f"model.chain.{'answer' if turn == 'sample' else turn}.max_new_tokens"
            )


def _percent(share: float) -> str:
    return f"{100 * share:.{'0f' if share >= 0.01 else '1g'}} %"


def _filtered(built: BuiltRound, filters: Sequence[str]) -> str:
    return ", ".join(f"{name} {built.counts[name]}" for name in filters if built.counts.get(name)) or "none"
