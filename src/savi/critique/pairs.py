"""JSON lines and the preference pairs in them, for people and for `datasets.load_dataset("json", ...)`."""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, get_args, overload

from savi.conversations import Prompt, from_messages, to_messages
from savi.types import PairAspect, PreferencePair, SaviError, TwoClipPair

NUMBERS: dict[str, type] = {
    "round": int,
    "seed": int,
    "reference_chosen_logp": float,
    "reference_rejected_logp": float,
}
"""The fields of a pair that aren't text."""

ASPECTS: tuple[PairAspect, ...] = get_args(PairAspect)


def read_pairs(path: Path) -> list[PreferencePair]:
    """The pairs of a `pairs/round_NN.jsonl`. A damaged line raises a SaviError that names file and line."""
    return [_to_pair(f"{path}, line {number}", record) for number, record in json_records(path)]


class StoredPairs(Sequence[PreferencePair]):
    """Pairs in a file, each of which is read when it is asked for. A slice of them is one, too.

    path: a `pairs/round_NN.jsonl`. starts: where each of its lines begins, and the end, in bytes. lines: those that are
    meant, from 0. A copy for another process has no pair in it.
    """

    def __init__(self, path: Path, starts: array[int], lines: range) -> None:
        self.path = path
        self.starts = starts
        self.lines = lines

    def __len__(self) -> int:
        return len(self.lines)

    @overload
    def __getitem__(self, index: int) -> PreferencePair: ...

    @overload
    def __getitem__(self, index: slice) -> StoredPairs: ...

    def __getitem__(self, index: int | slice) -> PreferencePair | StoredPairs:
        if isinstance(index, slice):
            return StoredPairs(self.path, self.starts, self.lines[index])
        line = self.lines[index]
        return next(iter(StoredPairs(self.path, self.starts, range(line, line + 1))))

    def __iter__(self) -> Iterator[PreferencePair]:
        """Raises SaviError for a line that is another one by now."""
        with self.path.open("rb") as file:
            for line in self.lines:
                file.seek(self.starts[line])
                data, place = file.read(self.starts[line + 1] - self.starts[line]), f"{self.path}, line {line + 1}"
                if not data.endswith(b"\n"):
                    raise SaviError(f"{place}: changed since it was written")
                yield _to_pair(place, to_record(place, data))


def stored_pairs(path: Path) -> tuple[StoredPairs, dict[str, int]]:
    """The pairs of a file, and how many each clip has, in their order.

    Raises SaviError for a damaged line, and for pairs of a clip that don't follow each other: counts find them.
    """
    starts, counts, clip = array("Q", [0]), dict[str, int](), None
    for number, line in json_lines(path):
        place = f"{path}, line {number}"
        pair = _to_pair(place, to_record(place, line))
        if pair.clip != clip and pair.clip in counts:
            raise SaviError(f"{place}: the pairs of a clip must follow each other")
        clip = pair.clip
        counts[pair.clip] = counts.get(pair.clip, 0) + 1
        starts.append(starts[-1] + len(line))
    return StoredPairs(path, starts, range(len(starts) - 1)), counts


def pair_record(pair: PreferencePair) -> dict[str, Any]:
    """A pair as it is written: its fields, a conversation as the list of messages that chat templates take."""
    return {**asdict(pair), "prompt": pair.prompt if isinstance(pair.prompt, str) else to_messages(pair.prompt)}


def json_line(record: dict[str, Any]) -> bytes:
    """The record on a line of its own. NaN and infinities raise ValueError: JSON has no word for them.

    A lone surrogate is no text in UTF-8, and other readers would refuse its escape: it becomes "?".
    """
    return (json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8", "replace")


def json_records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, record) of each line. A damaged line raises a SaviError that names file and line."""
    for number, line in json_lines(path):
        yield number, to_record(f"{path}, line {number}", line)


def json_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(line number, line with its end) of each line, one at a time. Raises SaviError for a last line without an end.

    Lines end at newline bytes only: model text may hold the other characters that Python calls line ends.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                raise SaviError(f"{path}, line {number}: cut off, it has no line end")
            yield number, line


def to_record(place: str, line: bytes) -> dict[str, Any]:
    """The record of a line. Raises SaviError for a damaged one, which names the place."""
    try:
        record = json.loads(line)
    except ValueError as error:
        raise SaviError(f"{place}: not readable ({error})") from None
    if not isinstance(record, dict):
        raise SaviError(f"{place}: not an object")
    return record


def _to_pair(place: str, record: dict[str, Any]) -> PreferencePair:
    kind = TwoClipPair if "rejected_clip" in record else PreferencePair
    names = {field.name for field in fields(kind)}
    if record.keys() != names:
        raise SaviError(f"{place}: missing or unknown fields {sorted(record.keys() ^ names)}")
    record = {**record, "prompt": _to_prompt(place, record["prompt"])}
    for name, value in record.items():
        if name == "prompt":
            continue
        expected = NUMBERS.get(name, str)
        if type(value) is not expected:
            raise SaviError(f"{place}: {name} must be of type {expected.__name__}, not {value!r}")
        if isinstance(value, float) and not math.isfinite(value):
            raise SaviError(f"{place}: {name} must be finite, not {value!r}")
    if record["aspect"] not in ASPECTS:
        raise SaviError(f"{place}: aspect must be one of {list(ASPECTS)}, not {record['aspect']!r}")
    return kind(**record)


def _to_prompt(place: str, value: object) -> Prompt:
    if isinstance(value, str):
        return value
    try:
        return from_messages(value if isinstance(value, list) else [])
    except ValueError as error:
        raise SaviError(f"{place}: prompt must be a text or a list of messages, not {value!r} ({error})") from None
