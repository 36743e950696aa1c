"""The preference pairs of one round on disk, written as they are made, and safe against a kill at any moment.

Under the run's folder, for round 0:
- `pairs/round_00.jsonl`: one JSON object per pair, its keys the fields of :class:`savi.types.PreferencePair`.
- `traces/round_00.jsonl`: one JSON object per clip: every turn, or why the clip could not be used.
- `pairs/round_00.progress.json`: how much of both files counts. It is replaced last: what stands behind the
  sizes it names was being written when the process died, and is cut off when the store is opened again.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from savi.critique.filters import UNDECODABLE
from savi.critique.pairs import StoredPairs, json_line, pair_record, stored_pairs
from savi.critique.round_files import (
    Progress,
    TraceSummary,
    read_progress,
    refuse_other_key,
    remedy,
    round_paths,
    summarise_traces,
)
from savi.errors import NonFiniteError
from savi.files import write_durably
from savi.types import ASPECTS, Clip, PreferencePair, SaviError, Trace, Turn, readable


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


class PairStore:
    """The pairs and traces of one round. A batch of clips is the unit that is committed.

    Opening creates the files, or takes up an unfinished round behind its last committed batch. `key` is the
    fingerprint of everything that the pairs depend on; a round begun under another key raises a SaviError.
    One process may write a store at a time; others read with `read_pairs`.
    """

    def __init__(self, folder: Path, round: int, key: str) -> None:
        self.pairs_path, self.traces_path, self.progress_path = round_paths(folder, round)
        for path in (self.pairs_path, self.traces_path):
            path.parent.mkdir(parents=True, exist_ok=True)
        if self.progress_path.exists():
            self._progress = read_progress(self.progress_path)
            refuse_other_key(self.progress_path, self._progress, key)
        else:
            self._refuse_orphans()
            self._progress = Progress(key, 0, 0, 0, 0, 0, dict.fromkeys(ASPECTS, 0), {}, False, {}, {})
            self._save()
        for path, size in self._committed():
            self._cut(path, size)

    @property
    def clips_done(self) -> int:
        """How many clips, from the start of the round's list, are committed."""
        return self._progress.clips

    @property
    def complete(self) -> bool:
        """Whether `finish` was called: the round has all of its clips."""
        return self._progress.complete

    def commit(self, results: Sequence[ClipResult]) -> None:
        """Append a batch of clips. It is there as a whole after a kill, or not at all."""
        if self.complete:
            raise ValueError(f"{self.pairs_path} is complete")
        pairs = [pair for result in results for pair in result.pairs]
        pair_lines = b"".join(json_line(pair_record(pair)) for pair in pairs)
        trace_lines = b"".join(json_line(_trace_record(result)) for result in results)
        turns = [turn for result in results for trace in result.traces for turn in trace.turns]
        before = self._progress
        _append(self.pairs_path, before.pairs_bytes, pair_lines)
        _append(self.traces_path, before.traces_bytes, trace_lines)
        self._progress = replace(
            before,
            clips=before.clips + len(results),
            batches=before.batches + 1,
            pairs=before.pairs + len(pairs),
            pairs_bytes=before.pairs_bytes + len(pair_lines),
            traces_bytes=before.traces_bytes + len(trace_lines),
            aspects=_add(before.aspects, (pair.aspect for pair in pairs)),
            filters=_add(before.filters, _taken(results)),
            replies=_add_turns(before.replies, turns),
            cut=_add_turns(before.cut, (turn for turn in turns if not turn.finished)),
        )
        self._save()

    def finish(self) -> None:
        """Mark the round as complete."""
        self._progress = replace(self._progress, complete=True)
        self._save()

    def pairs(self) -> tuple[StoredPairs, dict[str, int]]:
        """Every committed pair, in the order it was built, and how many each clip has."""
        pairs, by_clip = stored_pairs(self.pairs_path)
        if len(pairs) != self._progress.pairs:
            raise SaviError(f"{self.pairs_path}: changed since it was written; {remedy(self.pairs_path)}")
        return pairs, by_clip

    def counts(self) -> dict[str, int]:
        """ "pairs", "pairs/<aspect>" for each aspect, and the name of each filter that took something."""
        aspects = {f"pairs/{aspect}": count for aspect, count in self._progress.aspects.items()}
        return {"pairs": self._progress.pairs} | aspects | self._progress.filters

    def traces(self) -> TraceSummary:
        """What the committed traces say of the clips and the replies."""
        return summarise_traces(self.traces_path, self._progress)

    def _refuse_orphans(self) -> None:
        """The progress file comes first, so pairs without one lost theirs by hand: not to be overwritten."""
        for path in (self.pairs_path, self.traces_path):
            if path.exists() and path.stat().st_size:
                raise SaviError(f"{path}: its {self.progress_path.name} is missing; {remedy(self.pairs_path)}")

    def _committed(self) -> tuple[tuple[Path, int], ...]:
        return (
            (self.pairs_path, self._progress.pairs_bytes),
            (self.traces_path, self._progress.traces_bytes),
        )

    def _cut(self, path: Path, size: int) -> None:
        """Cut a file to what is committed, unless that would hide a change made by hand."""
        with _open(path) as file:
            found = file.seek(0, os.SEEK_END)
            file.seek(max(size - 1, 0))
            ends_line = size == 0 or file.read(1) == b"\n"
            if found < size or not ends_line or (self.complete and found != size):
                raise SaviError(f"{path}: changed since it was written; {remedy(self.pairs_path)}")
            if found > size:
                file.truncate(size)
                os.fsync(file.fileno())

    def _save(self) -> None:
        write_durably(self.progress_path, json.dumps(asdict(self._progress), indent=1).encode())


def _trace_record(result: ClipResult) -> dict[str, Any]:
    return {
        "clip": result.clip.id,
        "video": readable(str(result.clip.path)),
        "rejected": result.rejected,
        "traces": [asdict(trace, dict_factory=_without_empty_thoughts) for trace in result.traces],
    }


def _taken(results: Sequence[ClipResult]) -> Iterable[str]:
    for result in results:
        if result.rejected is not None:
            yield UNDECODABLE
        yield from (trace.outcome for trace in result.traces if trace.outcome != "pair")


def _add(counts: dict[str, int], names: Iterable[str]) -> dict[str, int]:
    more = Counter(names)
    return {name: counts.get(name, 0) + more[name] for name in sorted(counts.keys() | more.keys())}


def _add_turns(counts: dict[str, int] | None, turns: Iterable[Turn]) -> dict[str, int] | None:
    """Counts by turn, in the order of the chain. They stay None in a round that an earlier version has begun."""
    if counts is None:
        return None
    more = Counter(counts)
    more.update(turn.name for turn in turns)
    return dict(more)


def _open(path: Path) -> BinaryIO:
    """For reading and writing, created where it isn't there."""
    path.touch()
    return path.open("r+b")


def _append(path: Path, size: int, data: bytes) -> None:
    """Write behind the committed bytes, over whatever a failed commit (a full disk, say) left there."""
    with _open(path) as file:
        file.truncate(size)
        file.seek(size)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _without_empty_thoughts(fields: list[tuple[str, object]]) -> dict[str, object]:
    """Few models think: the others' turns have no such entry."""
    return {name: value for name, value in fields if name != "thought" or value}
