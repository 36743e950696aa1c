"""JSON lines and the preference pairs in them, for people and for `datasets.load_dataset("json", ...)`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, get_args

from savi.conversations import Prompt, from_messages, to_messages
from savi.types import PairAspect, PreferencePair, SaviError

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


def pair_record(pair: PreferencePair) -> dict[str, Any]:
    """A pair as it is written: its fields, a conversation as the list of messages that chat templates take."""
    return {**asdict(pair), "prompt": pair.prompt if isinstance(pair.prompt, str) else to_messages(pair.prompt)}


def json_line(record: dict[str, Any]) -> bytes:
    """The record on a line of its own. NaN and infinities raise ValueError: JSON has no word for them.

    A lone surrogate is no text in UTF-8, and other readers would refuse its escape: it becomes "?".
    """
    return (json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8", "replace")


def json_records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, record) of each line. A damaged line raises a SaviError that names file and line.

    Lines end at newline bytes only: model text may hold the other characters that Python calls line ends.
    """
    *lines, tail = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except ValueError as error:
            raise SaviError(f"{path}, line {number}: not readable ({error})") from None
        if not isinstance(record, dict):
            raise SaviError(f"{path}, line {number}: not an object")
        yield number, record
    if tail:
        raise SaviError(f"{path}, line {len(lines) + 1}: cut off, it has no line end")


def _to_pair(place: str, record: dict[str, Any]) -> PreferencePair:
    names = {field.name for field in fields(PreferencePair)}
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
    return PreferencePair(**record)


def _to_prompt(place: str, value: object) -> Prompt:
    if isinstance(value, str):
        return value
    try:
        return from_messages(value if isinstance(value, list) else [])
    except ValueError as error:
        raise SaviError(f"{place}: prompt must be a text or a list of messages, not {value!r} ({error})") from None
