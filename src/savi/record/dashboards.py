"""What a dashboard shows of a round next to its curves: pairs, filtered questions, held-out replies before and after.

All tables are made from the run's files, so that a resumed run can show its earlier rounds again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from savi.critique.pairs import json_records, read_pairs
from savi.critique.round_files import round_paths
from savi.distributed.collectives import from_rank_zero, shard_and_gather
from savi.distributed.failures import is_first
from savi.evaluation.benchmarks.items import LETTERS
from savi.evaluation.outcomes import asked_of_both
from savi.types import Clip, Excerpt
from savi.video.decode import UndecodableClip, decode
from savi.video.preview import Preview, VideoFormat, preview

MOST_CLIPS = 32
"""Clips of a table. Each is decoded once more for its pictures; the run's files have all rows."""
MOST_ROWS = 256
MOST_CHARACTERS = 2000
"""Of a cell. Pairs from files may be longer than any screen."""

OWN_CLIPS = "held-out clips"
"""In place of a benchmark's name. Without a label the base's verdict says whether a reply is right."""

Cell = str | float | bool | None

PAIR_COLUMNS = (
    *("aspect", "question", "rejected", "critique", "chosen"),
    *("reference_rejected_logp", "reference_chosen_logp"),
)
FILTERED_COLUMNS = ("aspect", "question", "filter", "answer", "critique", "revision")
REPLY_COLUMNS = ("benchmark", "task", "question", "right answer", "before", "after", "right before", "right after")


@dataclass(frozen=True)
class Table:
    """Rows about clips. rows: (clip's id, a cell for each of the columns). Its board adds the clip's pictures."""

    name: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, tuple[Cell, ...]]]


class Board(Protocol):
    """A dashboard that takes more than numbers. plays: the format of its videos."""

    plays: VideoFormat

    def show(self, table: Table, previews: Mapping[str, Preview], round: int) -> None:
        """Log a table. previews: by clip id; a clip that can't be decoded any more has none. round: on its axis."""

    def alert(self, title: str, text: str) -> None:
        """Tell of something that somebody should look at."""


def show_tables(
    boards: Sequence[Board],
    make: Callable[[], list[Table]],
    clips: Mapping[str, Clip],
    frame_count: int,
    round: int,
) -> None:
    """Log tables with the previews of their clips. All processes have to call it, because they share the decoding.

    make: gives the tables, in the first process. clips: by id. frame_count: sampled frames of a clip.
    """
    formats, tables = from_rank_zero(
        lambda: (sorted({board.plays for board in boards}), make() if boards else []), "training"
    )
    shown = list(dict.fromkeys(clip for table in tables for clip, _ in table.rows if clip in clips))
    made = shard_and_gather(shown, lambda clip: _preview(clips[clip], frame_count, formats), "training")
    previews = {clip: one for clip, one in zip(shown, made, strict=True) if one is not None}
    for board in boards if is_first() else ():
        for table in tables:
            board.show(table, previews, round)


def training_tables(run: Path, round: int) -> list[Table]:
    """The pairs and the filtered questions of a round. round: from 0, as in the files' names."""
    _, traces, _ = round_paths(run, round)
    filtered = [
        (trace["clip"], _filtered(trace))
        for _, record in json_records(traces)
        for trace in record["traces"]
        if trace["outcome"] != "pair"
    ]
    pairs = [
        (pair.clip, tuple(getattr(pair, name) for name in PAIR_COLUMNS))
        for pair in read_pairs(run / "pairs" / f"round_{round:02d}.jsonl")
    ]
    return [
        _table(f"tables/pairs/round_{round:02d}", PAIR_COLUMNS, pairs, _spread(clip for clip, _ in pairs)),
        _table(f"tables/filtered/round_{round:02d}", FILTERED_COLUMNS, filtered, _spread(clip for clip, _ in filtered)),
    ]


def reply_tables(run: Path, round: int) -> list[Table]:
    """The held-out replies of the base and of a round, those that were won or lost first. [] without an evaluation."""
    both = asked_of_both(*(dict(_answers(run, number)) for number in (0, round)))
    both.sort(key=lambda rows: rows[0]["correct"] == rows[1]["correct"])
    rows = [(row["video"], _compared(earlier, row)) for earlier, row in both]
    clips = list(dict.fromkeys(clip for clip, _ in rows))[:MOST_CLIPS]
    return [_table(f"tables/replies/round_{round:02d}", REPLY_COLUMNS, rows, clips)] if rows else []


def _table(
    name: str, columns: tuple[str, ...], rows: Iterable[tuple[str, tuple[Cell, ...]]], clips: Sequence[str]
) -> Table:
    shown = [(clip, tuple(map(_cut, cells))) for clip, cells in rows if clip in clips]
    return Table(name, columns, shown[:MOST_ROWS])


def _spread(clips: Iterable[str]) -> Sequence[str]:
    """Up to MOST_CLIPS of the clips, from all over the round."""
    once = list(dict.fromkeys(clips))
    return once[:: -(-len(once) // MOST_CLIPS) or 1]


def _cut(cell: Cell) -> Cell:
    return f"{cell[:MOST_CHARACTERS]} ..." if isinstance(cell, str) and len(cell) > MOST_CHARACTERS else cell


def _filtered(trace: Mapping[str, Any]) -> tuple[Cell, ...]:
    """The cells of a question without a pair. A row of a file says why instead of replies."""
    said = {turn["name"]: turn["reply"] for turn in trace["turns"]}
    why = f"{trace['outcome']}: {trace['reason']}" if trace.get("reason") else trace["outcome"]
    revision = said.get("revision", said.get("sample", ""))
    return trace["aspect"], trace["question"], why, said.get("answer", ""), said.get("critique", ""), revision


def _answers(run: Path, round: int) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """(what identifies a question, its row) of each held-out question that a round was asked."""
    name = f"round_{round:02d}"
    for path in sorted((run / "benchmarks" / name).glob("*.jsonl")):
        if not path.name.partition(".")[2].startswith("replies"):  # the log of an evaluation
            yield from (((row["benchmark"], row["id"]), row) for _, row in json_records(path))
    own = run / "held_out" / f"{name}.jsonl"
    for _, row in json_records(own) if own.is_file() else ():
        right = row["found_right"] if row["right"] is None else row["right"]
        asked = {"benchmark": OWN_CLIPS, "task": "", "options": (), "answer": ""}
        said = {"video": row["clip"], "response": row["reply"], "correct": right}
        yield (OWN_CLIPS, row["clip"], row["question"]), {"question": row["question"], **asked, **said}


def _compared(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[Cell, ...]:
    letters = dict(zip(LETTERS, after["options"], strict=False))
    right = after["answer"]
    said = [row.get("free_form") or letters.get(row["response"], row["response"]) for row in (before, after)]
    asked = (after["benchmark"], after["task"], after["question"], letters.get(right, right))
    return *asked, *said, before["correct"], after["correct"]


def _preview(clip: Clip, frame_count: int, formats: Sequence[VideoFormat]) -> Preview | None:
    try:
        return preview(decode(clip if isinstance(clip, Excerpt) else clip.path, frame_count), formats)
    except UndecodableClip:
        return None
