"""PerceptionTest (Pătrăucean et al., NeurIPS 2023), multiple choice on the validation videos: three options each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

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
)
from savi.evaluation.benchmarks.rows import Row, read_json, read_rows
from savi.types import Clip, SaviError

FILES = (
    "mc_question_valid.json",
    "*/mc_question_valid.json",
    "all_valid.json",
    "mc_question_val/*.parquet",
    "*.parquet",
    "*.jsonl",
    "mc_question*.json",
)
FOLDERS = ("videos", "valid_videos", "valid/videos", "")

LETTER = re.compile(r"\b([A-D])\b")


def load(root: Path, options: Options) -> list[Item]:
    """From the official JSON, by video, or the flat rows of the data set on the hub. Raises SaviError."""
    path = need(root, FILES, "perceptiontest")
    content = read_json(path) if path.suffix == ".json" else None
    rows = _official(path, content) if isinstance(content, dict) else _flat(path)
    return [_item(root, video, number, row) for video, number, row in rows]


def _official(path: Path, content: dict[str, object]) -> Iterator[tuple[str, str, Row]]:
    for video, record in content.items():
        questions = Row.of(f"{path}, {video}", record).get("mc_question", list)
        for position, fields in enumerate(questions, start=1):
            row = Row.of(f"{path}, {video}, question {position}", fields)
            yield video, row.text("id"), row


def _flat(path: Path) -> Iterator[tuple[str, str, Row]]:
    for row in read_rows(path):
        yield row.text("video_name"), row.text("question_id"), row


def _item(root: Path, video: str, number: str, row: Row) -> Item:
    question, options = row.text("question"), row.texts("options")
    gold = LETTERS[row.index("answer_id", options)]
    asked = Asked(row.text("area"), question, options, gold)
    if wrong := check_letters(asked):
        raise SaviError(f"{row.place}: {wrong}")
    clip = Clip(video, in_folders(root, FOLDERS, (f"{video}.mp4", f"{video}.MP4")))
    groups = {"reasoning": row.text("reasoning")}
    prompt = letter_prompt(question, options)
    return Item(asked.task, question, options, gold, "perceptiontest", f"{video}_{number}", clip, prompt, groups)


def read(asked: Asked, response: str) -> Reading:
    """The first capital A to D that stands alone, though there are three options. It never draws."""
    match = LETTER.search(response)
    return Reading(match[1], match[1] == asked.answer) if match else Reading(None)


PERCEPTIONTEST = Benchmark(
    name="perceptiontest", title="PerceptionTest", paper=(62.2, 66.1), load=load, read=read, check=check_letters
)
