"""The files of a round of pairs, read back: how far it has come, under which key, and what its traces say."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from savi.critique.filters import UNDECODABLE
from savi.critique.pairs import json_records
from savi.types import SaviError


def round_paths(folder: Path, round: int) -> tuple[Path, Path, Path]:
    """The files of a round in a run's folder: its pairs, its traces and its progress. round: from 0."""
    name = f"round_{round:02d}"
    return (
        folder / "pairs" / f"{name}.jsonl",
        folder / "traces" / f"{name}.jsonl",
        folder / "pairs" / f"{name}.progress.json",
    )


@dataclass(frozen=True)
class Progress:
    """What is committed: counts, sizes of the two files in bytes, and whether the round has all its clips."""

    key: str
    clips: int
    batches: int
    pairs: int
    pairs_bytes: int
    traces_bytes: int
    aspects: dict[str, int]
    filters: dict[str, int]
    complete: bool


@dataclass(frozen=True)
class TraceSummary:
    """What a round's traces say. undecodable: why clips could not be decoded, by clip id; rejected: the same by video
    file. unfinished: the share of replies that their token limit cut off, by turn in the order of the chain.
    """

    undecodable: dict[str, str]
    rejected: dict[str, str]
    unfinished: dict[str, float]


def read_traces(path: Path) -> TraceSummary:
    """The summary of a file of traces. Raises SaviError for a line that is damaged."""
    undecodable, rejected = {}, {}
    replies: Counter[str] = Counter()
    cut: Counter[str] = Counter()
    for _, record in json_records(path):
        if record["rejected"] is not None:
            undecodable[record["clip"]] = rejected[record["video"]] = record["rejected"]
        turns = [turn for trace in record["traces"] for turn in trace["turns"]]
        replies.update(turn["name"] for turn in turns)
        cut.update(turn["name"] for turn in turns if not turn["finished"])
    return TraceSummary(undecodable, rejected, {name: cut[name] / count for name, count in replies.items()})


def check_key(folder: Path, round: int, key: str) -> None:
    """Raises SaviError where a round was begun under another key; looks at its files without changing them."""
    *_, path = round_paths(folder, round)
    if path.exists():
        refuse_other_key(path, read_progress(path), key)


def round_key(folder: Path, round: int) -> str | None:
    """The key that a round was begun under; None for a round that wasn't."""
    *_, path = round_paths(folder, round)
    return read_progress(path).key if path.exists() else None


def built_clips(folder: Path, round: int) -> tuple[list[str], bool]:
    """The ids of a round's committed clips, in order, and whether the round has all of its clips.

    ([], False) without a store. Raises SaviError for a store that is damaged.
    """
    _, traces, path = round_paths(folder, round)
    if not path.exists():
        return [], False
    progress = read_progress(path)
    try:
        with traces.open("rb") as file:
            ids = [json.loads(line)["clip"] for line in file.read(progress.traces_bytes).splitlines()]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SaviError(f"{traces}: damaged ({error}); {remedy(path)}") from None
    return ids, progress.complete


def undecodable_clips(folder: Path, round: int) -> dict[str, str]:
    """Why clips of a round could not be decoded, by clip id; {} without such a round."""
    _, traces, path = round_paths(folder, round)
    found = path.exists() and read_progress(path).filters.get(UNDECODABLE)
    return read_traces(traces).undecodable if found else {}


def read_progress(path: Path) -> Progress:
    """Raises SaviError for a damaged file."""
    try:
        return Progress(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise SaviError(f"{path}: damaged ({error}); {remedy(path)}") from None


def refuse_other_key(path: Path, progress: Progress, key: str) -> None:
    """Raises SaviError where a round was begun under another key."""
    if progress.key != key:
        raise SaviError(
            f"{path}: this round was begun with other settings or clips, or by another version of savi; {remedy(path)}"
        )


def remedy(path: Path) -> str:
    """Advice on a round's files. The model that is asked to write the round is the one that has to."""
    name = path.name.partition(".")[0]
    return f"start a new run, or remove {name}.* from its pairs/ and traces/ to build the round anew"
