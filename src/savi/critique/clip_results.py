"""What the making of pairs gives for one clip, and the lines that a batch of clips is written as."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from savi.critique.filters import UNDECODABLE
from savi.critique.pairs import json_line, pair_record
from savi.critique.parts import Batch, Counts
from savi.errors import NonFiniteError
from savi.types import Clip, PreferencePair, Trace, readable


@dataclass(frozen=True)
class ClipResult:
    """The chain's results on one clip. rejected: why the clip could not be used at all, or None."""

    clip: Clip
    pairs: tuple[PreferencePair, ...] = ()
    traces: tuple[Trace, ...] = ()
    rejected: str | None = None

    def __post_init__(self) -> None:
        if len(self.pairs) != sum(trace.outcome == "pair" for trace in self.traces):
            raise ValueError(f"{self.clip.id}: {len(self.pairs)} pairs, but the outcomes of its traces differ")
        logps = [logp for pair in self.pairs for logp in (pair.reference_chosen_logp, pair.reference_rejected_logp)]
        logps += [turn.logp for trace in self.traces for turn in trace.turns]
        for logp in logps:
            if not math.isfinite(logp):
                raise NonFiniteError(f"clip {self.clip.id}: the model gives a log-probability of {logp}")


def make_batch(results: Sequence[ClipResult]) -> Batch:
    """The lines of a batch of clips, and what is counted of them."""
    pairs = [pair for result in results for pair in result.pairs]
    traces = [trace for result in results for trace in result.traces]
    turns = [turn for trace in traces for turn in trace.turns]
    taken = Counter(trace.outcome for trace in traces if trace.outcome != "pair")
    taken.update(UNDECODABLE for result in results if result.rejected is not None)
    counts = Counts(
        clips=len(results),
        pairs=len(pairs),
        aspects=dict(Counter(pair.aspect for pair in pairs)),
        filters=dict(taken),
        replies=dict(Counter(turn.name for turn in turns)),
        cut=dict(Counter(turn.name for turn in turns if not turn.finished)),
    )
    lines = b"".join(json_line(pair_record(pair)) for pair in pairs)
    return Batch(counts, lines, b"".join(json_line(_trace_record(result)) for result in results))


def _trace_record(result: ClipResult) -> dict[str, Any]:
    return {
        "clip": result.clip.id,
        "video": readable(str(result.clip.path)),
        "rejected": result.rejected,
        "traces": [asdict(trace, dict_factory=_without_empty_thoughts) for trace in result.traces],
    }


def _without_empty_thoughts(fields: list[tuple[str, object]]) -> dict[str, object]:
    """Few models think: the others' turns have no such entry."""
    return {name: value for name, value in fields if name != "thought" or value}
