"""The files of a round of pairs, read back: how far it has come, under which key, and what its traces say."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from savi.critique.filters import UNDECODABLE
from savi.critique.pairs import json_lines, json_records, to_record
from savi.types import SaviError


def round_paths(folder: Path, round: int) -> tuple[Path, Path, Path]:
    """The files of a round in a run's folder: its pairs, its traces and its progress. round: from 0."""
    name = f"round_{round:02d}"
    return (
        folder / "pairs" / f"{name}.jsonl",
        folder / "traces" / f"{name}.jsonl",
        folder / "pairs" / f"{name}.progress.json",
    )


def policy_logps_path(folder: Path, round: int) -> Path:
    """The file with the policy's log-probabilities of a round's pairs in a run's folder. round: from 0."""
    return folder / "logps" / f"round_{round:02d}.jsonl"


@dataclass(frozen=True)
class Progress:
    """What is committed: counts, sizes of the two files in bytes, and whether the round has all its clips.

    replies, cut: by turn, how many there are, and how many of them their token limit cut off. None in a round that an
    earlier version has begun: then the traces tell.
    """

    key: str
    clips: int
    batches: int
    pairs: int
    pairs_bytes: int
    traces_bytes: int
    aspects: dict[str, int]
    filters: dict[str, int]
    complete: bool
    replies: dict[str, int] | None = None
    cut: dict[str, int] | None = None


@dataclass(frozen=True)
class TraceSummary:
    """What a round's traces say. undecodable: why clips could not be decoded, by clip id; rejected: the same by video
    file. unfinished: the share of replies that their token limit cut off, by turn in the order of the chain.
    """

    undecodable: dict[str, str]
    rejected: dict[str, str]
    unfinished: dict[str, float]


USED = b', "rejected": null, "traces": ['
"""In the line of a clip that could be used. No text has it, as quotes are escaped there."""


def summarise_traces(path: Path, progress: Progress) -> TraceSummary:
    """What a round's counts and its file of traces say. Raises SaviError for a line that is damaged.

    Only the lines of clips that could not be decoded are read, if there are any.
    """
    undecodable, rejected = {}, {}
    if progress.filters.get(UNDECODABLE):
        for number, line in json_lines(path):
            if USED not in line:
                record = to_record(f"{path}, line {number}", line)
                undecodable[record["clip"]] = rejected[record["video"]] = record["rejected"]
    replies, cut = progress.replies, progress.cut
    if replies is None or cut is None:
        replies, cut = _count_replies(path)
    return TraceSummary(undecodable, rejected, {name: cut.get(name, 0) / count for name, count in replies.items()})


def _count_replies(path: Path) -> tuple[Counter[str], Counter[str]]:
    """Progress.replies and Progress.cut, from all traces."""
    replies: Counter[str] = Counter()
    cut: Counter[str] = Counter()
    for _, record in json_records(path):
        turns = [turn for trace in record["traces"] for turn in trace["turns"]]
        replies.update(turn["name"] for turn in turns)
        cut.update(turn["name"] for turn in turns if not turn["finished"])
    return replies, cut


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
    ids: list[str] = []
    try:
        with traces.open("rb") as file:
            while file.tell() < progress.traces_bytes and (line := file.readline()):
                ids.append(_clip_of(line))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SaviError(f"{traces}: damaged ({error}); {remedy(path)}") from None
    return ids, progress.complete


def _clip_of(line: bytes) -> str:
    """The clip of a line of traces, without the turns behind it."""
    first, found, _ = line.partition(b', "video": ')
    clip: str = json.loads(first + b"}" if found else line)["clip"]
    return clip


def undecodable_clips(folder: Path, round: int) -> dict[str, str]:
    """Why clips of a round could not be decoded, by clip id; {} without such a round."""
    _, traces, path = round_paths(folder, round)
    return summarise_traces(traces, read_progress(path)).undecodable if path.exists() else {}


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
