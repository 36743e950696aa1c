"""What each of several processes has built of a round, in a file of its own, until the first one puts it in order.

`pairs/round_00.part_03` has the batches of process 3, in the order in which it built them. Each begins with one line of
JSON: the number of the batch, what is counted of it, the sizes of what follows, and a digest. Then come its lines of
pairs and its lines of traces. The processes don't wait for each other. After a kill the file is read up to its last
whole batch, by as many processes as there are then.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from savi.critique.round_files import round_paths


@dataclass(frozen=True)
class Counts:
    """What is counted of a batch: clips, pairs, and by name the pairs' aspects, the filters, the replies, and those
    that their token limit cut off."""

    clips: int
    pairs: int
    aspects: dict[str, int]
    filters: dict[str, int]
    replies: dict[str, int]
    cut: dict[str, int]


@dataclass(frozen=True)
class Batch:
    """A batch of clips as it is written."""

    counts: Counts
    pairs: bytes
    traces: bytes


@dataclass(frozen=True)
class PartBatch:
    """A batch in a part. start: of its bytes behind the line, in the file. pairs, traces: their sizes in bytes."""

    path: Path
    start: int
    batch: int
    counts: Counts
    pairs: int
    traces: int
    digest: str

    @property
    def end(self) -> int:
        return self.start + self.pairs + self.traces

    def read(self) -> Batch | None:
        """None where its bytes aren't all there: a kill has cut them off, or a disk on the network is behind."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            pairs, traces = file.read(self.pairs), file.read(self.traces)
        return Batch(self.counts, pairs, traces) if _digest(pairs, traces) == self.digest else None


class Part:
    """The part of one process, for writing. What a kill has left behind the last whole batch is cut off.

    There is no file before the first batch: the round may have all of its batches already.
    """

    def __init__(self, folder: Path, round: int, rank: int) -> None:
        pairs, *_ = round_paths(folder, round)
        self._path = part_path(pairs, rank)
        if not self._path.exists():
            return
        whole = 0
        for found in part_batches(self._path, 0):
            if found.read() is None:
                break
            whole = found.end
        os.truncate(self._path, whole)

    def add(self, number: int, made: Batch) -> None:
        """Append a batch. number: its place in the round. It is there as a whole after a kill, or not at all."""
        header = {
            "batch": number,
            "counts": asdict(made.counts),
            "pairs": len(made.pairs),
            "traces": len(made.traces),
            "digest": _digest(made.pairs, made.traces),
        }
        with self._path.open("ab") as file:
            file.write(json.dumps(header).encode() + b"\n" + made.pairs + made.traces)
            file.flush()
            os.fsync(file.fileno())


def part_path(pairs: Path, rank: int) -> Path:
    """The part of a process. pairs: the round's file of pairs."""
    return pairs.with_name(f"{pairs.stem}.part_{rank:02d}")


def part_paths(pairs: Path) -> list[Path]:
    """All parts that a round has now."""
    return sorted(pairs.parent.glob(f"{pairs.stem}.part_*"))


def part_batches(path: Path, start: int) -> Iterator[PartBatch]:
    """The batches of a part from a place on, as far as their sizes say that they are whole."""
    size = path.stat().st_size
    with path.open("rb") as file:
        while start < size:
            file.seek(start)
            line = file.readline()
            try:
                header: dict[str, Any] = json.loads(line) if line.endswith(b"\n") else {}
                counts = Counts(**header.pop("counts"))
                found = PartBatch(path, start + len(line), counts=counts, **header)
            except (ValueError, KeyError, TypeError):  # it is being written, or was when a kill came
                return
            if found.end > size:
                return
            yield found
            start = found.end


def _digest(pairs: bytes, traces: bytes) -> str:
    return hashlib.blake2b(pairs + traces, digest_size=16).hexdigest()
