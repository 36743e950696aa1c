"""LongVideoBench (Wu et al., NeurIPS 2024), validation set: up to an hour, two to five options, many on subtitles."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from savi.evaluation.benchmarks.files import in_folders, need
from savi.evaluation.benchmarks.items import (
    LETTERS,
    Asked,
    Benchmark,
    Item,
    Options,
    Reading,
    check_letters,
    letter_prompt,
    read_asked,
)
from savi.evaluation.benchmarks.rows import Row, read_rows
from savi.types import Clip, SaviError

FILES = ("lvb_val.json", "*/lvb_val.json", "validation*.parquet", "*/validation*.parquet", "lvb_val.jsonl")
FOLDERS = ("videos", "")
SUBTITLES = ("subtitles", "")
PADDING = "N/A"

PREFIXES = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "The best option is",
    "The correct option is",
    "Best answer:",
    "Best option:",
)
LETTER = re.compile(r"[ABCDE]")


def load(root: Path, options: Options) -> list[Item]:
    """From lvb_val.json or the parquet file. Raises SaviError."""
    return [_item(root, options, row) for row in read_rows(need(root, FILES, "longvideobench"))]


def _item(root: Path, options: Options, row: Row) -> Item:
    task, question, candidates = row.text("duration_group"), row.text("question"), _candidates(row)
    asked = Asked(task, question, candidates, LETTERS[row.index("correct_choice", candidates)])
    if wrong := check_letters(asked):
        raise SaviError(f"{row.place}: {wrong}")
    # Not from video_id, which may name another file.
    video = row.text("video_path")
    spoken = _subtitles(root, row, options.frames) if options.subtitles else ""
    prompt = letter_prompt(question, candidates) + "\n"
    return Item(
        asked.task,
        asked.question,
        candidates,
        asked.answer,
        "longvideobench",
        row.text("id"),
        Clip(video, in_folders(root, FOLDERS, (video,))),
        f"{spoken}\n{prompt}" if spoken else prompt,
        {"category": row.text("question_category")},
    )


def _candidates(row: Row) -> tuple[str, ...]:
    """`candidates` in the JSON file, option0 to option4 in the parquet, which pads with "N/A"."""
    if "candidates" in row.fields:
        return row.texts("candidates")
    texts = [row.fields.get(f"option{i}") for i in range(5)]
    return tuple(str(text) for text in texts if text not in (None, PADDING))


def _subtitles(root: Path, row: Row, frames: int) -> str:
    """The subtitles that one of the sampled frames falls into, a line each.

    lmms-eval's rule for choosing them (task longvideobench_val_i), with the frames that are sampled here.
    """
    path = in_folders(root, SUBTITLES, (row.text("subtitle_path"),))
    duration = row.number("duration")
    offset = row.number("starting_timestamp_for_subtitles")
    times = (
        [duration / frames * i for i in range(frames)] if duration > frames else list(map(float, range(int(duration))))
    )
    lines = []
    for spoken in read_rows(path):
        start, end = _times(spoken, duration)
        start, end = start - offset, end - offset
        middle = (start + end) / 2
        if end - start < 1:
            start, end = middle - 0.5, middle + 0.5
        if any(start < time < end for time in times):
            lines.append(spoken.text("text" if spoken.has("timestamp") else "line"))
    return "\n".join(lines)


def _times(row: Row, duration: float) -> tuple[float, float]:
    """When a subtitle starts and ends, in seconds of the original video."""
    if row.has("timestamp"):
        start, end = row.get("timestamp", list)
        return float(start), end if isinstance(end, float) else duration
    return _seconds(row.text("start"), row.place), _seconds(row.text("end"), row.place)


def _seconds(text: str, place: str) -> float:
    parts: Any = text.split(":")
    try:
        hours, minutes, seconds = (float(part) for part in parts)
    except ValueError:
        raise SaviError(f"{place}: {text!r} is no time such as 00:01:02.500") from None
    return 3600 * hours + 60 * minutes + seconds


def read(asked: Asked, response: str) -> Reading:
    """The first capital A to E anywhere behind the usual openings, even inside a word."""
    text = response
    for prefix in PREFIXES:
        text = text.replace(prefix, "")
    match = LETTER.search(text)
    if match is None:
        return Reading(None, draws=asked.letters)
    return Reading(match[0], match[0] == asked.answer)


def normalize_row(row: Row) -> Asked:
    asked = read_asked(row)
    return replace(asked, options=tuple(option for option in asked.options if option != PADDING))


LONGVIDEOBENCH = Benchmark(
    name="longvideobench",
    title="LongVideoBench",
    paper=(57.8, 59.8),
    load=load,
    read=read,
    check=check_letters,
    max_new_tokens=32,
    subtitles=True,
    normalize_row=normalize_row,
)
