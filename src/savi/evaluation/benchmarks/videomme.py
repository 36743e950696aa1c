"""Video-MME (Fu et al., CVPR 2025): 2,700 questions on short, medium and long videos, four options, no subtitles."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from savi.evaluation.benchmarks.files import in_folders, need
from savi.evaluation.benchmarks.items import (
    Asked,
    Benchmark,
    Item,
    Options,
    check_letters,
    lettered,
    plain_options,
)
from savi.evaluation.benchmarks.letters import read_letter
from savi.evaluation.benchmarks.rows import Row, read_rows
from savi.types import Clip, SaviError

FILES = ("videomme/test*.parquet", "test*.parquet", "*.parquet", "*.jsonl", "*.json")
FOLDERS = ("data", "videos", "")
SUFFIXES = ("mp4", "MP4", "mkv")
DURATIONS = ("short", "medium", "long")

BEGINNING = (
    "Select the best answer to the following multiple-choice question based on the video and the subtitles. "
    "Respond with only the letter (A, B, C, or D) of the correct option."
)
ENDING = "\n\nAnswer with the option's letter from the given choices directly."


def load(root: Path, options: Options) -> list[Item]:
    """From the hub's rows, or the benchmark's own JSON with questions below each video. Raises SaviError."""
    return [_item(root, video, row) for video, row in _rows(need(root, FILES, "videomme"))]


def _rows(path: Path) -> Iterator[tuple[Row, Row]]:
    """(video, question) of each question; one and the same row on the hub."""
    for row in read_rows(path):
        if not row.has("questions"):
            yield row, row
            continue
        for number, fields in enumerate(row.get("questions", list), start=1):
            yield row, Row.of(f"{row.place}, question {number}", fields)


def _item(root: Path, video: Row, row: Row) -> Item:
    duration, options = video.text("duration"), plain_options(row.texts("options"))
    asked = Asked(duration, row.text("question"), options, row.text("answer"))
    if duration not in DURATIONS:
        raise SaviError(f"{video.place}: the duration {duration!r} is none of {', '.join(DURATIONS)}")
    if wrong := check_letters(asked):
        raise SaviError(f"{row.place}: {wrong}")
    name = video.text("videoID" if video.has("videoID") else "video_id")
    clip = Clip(name, in_folders(root, FOLDERS, [f"{name}.{suffix}" for suffix in SUFFIXES]))
    groups = {"domain": video.text("domain"), "sub_category": video.text("sub_category"), "type": row.text("task_type")}
    number = row.text("question_id")
    return Item(duration, asked.question, options, asked.answer, "videomme", number, clip, prompt(asked), groups)


def prompt(asked: Asked) -> str:
    """As lmms-eval has it without subtitles, of which its first sentence speaks nevertheless."""
    return f"{BEGINNING}\n{asked.question}\n{lettered(asked.options)}{ENDING}"


VIDEOMME = Benchmark(
    name="videomme",
    title="Video-MME",
    load=load,
    read=read_letter,
    check=check_letters,
    max_new_tokens=16,
)
