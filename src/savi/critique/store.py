"""The preference pairs of one round on disk, written as they are made, and safe against a kill at any moment.

Under the run's folder, for round 0:
- `pairs/round_00.jsonl`: one JSON object per pair, its keys the fields of :class:`savi.types.PreferencePair`.
- `traces/round_00.jsonl`: one JSON object per clip: every turn, or why the clip could not be used.
- `pairs/round_00.progress.json`: how much of both files counts. It is replaced last: what stands behind the
  sizes it names was being written when the process died, and is cut off when the store is opened again.
- `pairs/round_00.part_00` and so on: while several processes build the round, what each has built of it. See
  :mod:`savi.critique.parts`.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import BinaryIO

from savi.critique.clip_results import ClipResult, make_batch
from savi.critique.pairs import StoredPairs, stored_pairs
from savi.critique.parts import Batch, Counts, PartBatch, part_batches, part_paths
from savi.critique.round_files import (
    Progress,
    TraceSummary,
    read_progress,
    refuse_other_key,
    remedy,
    round_paths,
    summarise_traces,
)
from savi.files import write_durably
from savi.types import ASPECTS, SaviError


class PairStore:
    """The pairs and traces of one round. A batch of clips is the unit that is committed, in the order of the round.

    Opening creates the files, or takes up an unfinished round behind its last committed batch. `key` is the
    fingerprint of everything that the pairs depend on; a round begun under another key raises a SaviError.
    One process may write a store at a time; others write parts, which it merges, and read with `read_pairs`.
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
        self._looked_at: dict[Path, int] = {}
        self._waiting: dict[int, PartBatch] = {}
        if self.complete:
            self._remove_parts()
        self.merge()

    @property
    def clips_done(self) -> int:
        """How many clips, from the start of the round's list, are committed."""
        return self._progress.clips

    @property
    def batches_done(self) -> int:
        """How many batches, from the start of the round's list, are committed."""
        return self._progress.batches

    @property
    def clips_kept(self) -> int:
        """How many clips are committed, or wait in the parts of processes."""
        return self._progress.clips + sum(found.counts.clips for found in self._waiting.values())

    @property
    def waiting(self) -> Mapping[int, PartBatch]:
        """Batches in the parts of processes, by their number, that others before them keep from being committed."""
        return self._waiting

    @property
    def complete(self) -> bool:
        """Whether `finish` was called: the round has all of its clips."""
        return self._progress.complete

    def commit(self, results: Sequence[ClipResult]) -> None:
        """Append a batch of clips. It is there as a whole after a kill, or not at all."""
        self._append(make_batch(results))
        self.merge()

    def merge(self) -> None:
        """Commit what the processes have left in their parts since, as far as all batches before it are there."""
        for path in part_paths(self.pairs_path):
            for found in part_batches(path, self._looked_at.get(path, 0)):
                if found.batch >= self.batches_done:
                    if found.read() is None:
                        break
                    self._waiting[found.batch] = found
                self._looked_at[path] = found.end
        while (following := self._waiting.get(self.batches_done)) and (batch := following.read()):
            del self._waiting[following.batch]
            self._append(batch)

    def _append(self, batch: Batch) -> None:
        if self.complete:
            raise ValueError(f"{self.pairs_path} is complete")
        before, counts = self._progress, batch.counts
        _append(self.pairs_path, before.pairs_bytes, batch.pairs)
        _append(self.traces_path, before.traces_bytes, batch.traces)
        self._progress = replace(
            _counted(before, counts),
            batches=before.batches + 1,
            pairs_bytes=before.pairs_bytes + len(batch.pairs),
            traces_bytes=before.traces_bytes + len(batch.traces),
        )
        self._save()

    def finish(self) -> None:
        """Mark the round as complete, and remove the parts that it was merged of."""
        if self._waiting:
            raise SaviError(f"{self.pairs_path}: batch {self.batches_done + 1} is missing; {remedy(self.pairs_path)}")
        self._progress = replace(self._progress, complete=True)
        self._save()
        self._remove_parts()

    def pairs(self) -> tuple[StoredPairs, dict[str, int]]:
        """Every committed pair, in the order it was built, and how many each clip has."""
        pairs, by_clip = stored_pairs(self.pairs_path)
        if len(pairs) != self._progress.pairs:
            raise SaviError(f"{self.pairs_path}: changed since it was written; {remedy(self.pairs_path)}")
        return pairs, by_clip

    def counts(self) -> dict[str, int]:
        """ "pairs", "pairs/<aspect>" for each aspect, and the name of each filter that took something.

        Those of the parts are among them.
        """
        progress = self._progress
        for found in self._waiting.values():
            progress = _counted(progress, found.counts)
        aspects = {f"pairs/{aspect}": count for aspect, count in progress.aspects.items()}
        return {"pairs": progress.pairs} | aspects | progress.filters

    def traces(self) -> TraceSummary:
        """What the committed traces say of the clips and the replies."""
        return summarise_traces(self.traces_path, self._progress)

    def _refuse_orphans(self) -> None:
        """The progress file comes first, so pairs without one lost theirs by hand: not to be overwritten."""
        for path in (self.pairs_path, self.traces_path, *part_paths(self.pairs_path)):
            if path.exists() and path.stat().st_size:
                raise SaviError(f"{path}: its {self.progress_path.name} is missing; {remedy(self.pairs_path)}")

    def _remove_parts(self) -> None:
        for path in part_paths(self.pairs_path):
            path.unlink(missing_ok=True)

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


def _counted(progress: Progress, counts: Counts) -> Progress:
    """The counts of a batch added to those of a round."""
    return replace(
        progress,
        clips=progress.clips + counts.clips,
        pairs=progress.pairs + counts.pairs,
        aspects=_add(progress.aspects, counts.aspects),
        filters=_add(progress.filters, counts.filters),
        # They stay None in a round that an earlier version has begun; else they are in the order of the chain.
        replies=None if progress.replies is None else dict(Counter(progress.replies) + Counter(counts.replies)),
        cut=None if progress.cut is None else dict(Counter(progress.cut) + Counter(counts.cut)),
    )


def _add(counts: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    return {name: counts.get(name, 0) + more.get(name, 0) for name in sorted(counts.keys() | more.keys())}


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
