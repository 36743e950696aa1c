"""EgoSchema (Mangalam et al., NeurIPS 2023): three minutes from the wearer's eyes, five options.

500 of the 5,031 questions have public answers (split "subset"); a run on all ("full") leaves a file to submit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from savi.evaluation.benchmarks.files import find, in_folders, need
from savi.evaluation.benchmarks.items import (
    LETTERS,
    Asked,
    Benchmark,
    Item,
    Options,
    Reading,
    check_letters,
    letter_prompt,
    lettered,
    plain_options,
    read_asked,
)
from savi.evaluation.benchmarks.rows import Row, read_json, read_rows
from savi.types import Clip, SaviError

OPTIONS = 5
QUESTIONS = ("questions.json", "*/questions.json")
ANSWERS = ("subset_answers.json", "*/subset_answers.json")
ROWS = {
    "subset": ("Subset/*.parquet", "*Subset*.json", "*Subset*.jsonl", "*.parquet"),
    "full": ("GENERATION/*.parquet", "*GENERATION*.json", "*GENERATION*.jsonl", "*.parquet"),
}
FOLDERS = ("videos", "good_clips_git", "")

EDGES = ",.!?;:'"


def load(root: Path, options: Options) -> list[Item]:
    """From questions.json and subset_answers.json, or the rows of the data set on the hub. Raises SaviError."""
    split = options.split or "subset"
    official = find(root, QUESTIONS)
    rows = _official(root, official, split) if official else _flat(need(root, (*QUESTIONS, *ROWS[split]), "egoschema"))
    return [_item(root, split, *row) for row in rows]


def _official(root: Path, path: Path, split: str) -> Iterator[tuple[Row, str, tuple[str, ...], str]]:
    """Rows with video, options and the right letter ("" where it isn't public)."""
    found = find(root, ANSWERS)
    if found is None and split == "subset":
        raise SaviError(f"data.benchmark.egoschema.root: {root} has no {ANSWERS[0]}, the answers of the subset")
    labels = Row.of(str(found), read_json(found) if found else {})
    answers = labels.fields
    seen = set()
    for row in read_rows(path):
        video = row.text("q_uid")
        seen.add(video)
        if split == "full" or video in answers:
            options = tuple(row.text(f"option {i}") for i in range(OPTIONS))
            yield row, video, options, LETTERS[labels.index(video, options)] if video in answers else ""
    if split == "subset" and (lost := sorted(set(answers) - seen)):
        raise SaviError(f"{path}: {len(lost)} of the subset's {len(answers)} questions are missing, such as {lost[0]}")


def _flat(path: Path) -> Iterator[tuple[Row, str, tuple[str, ...], str]]:
    for row in read_rows(path):
        options = plain_options(row.texts("option"))
        labelled = row.has("answer")
        yield row, row.text("video_idx"), options, LETTERS[row.index("answer", options)] if labelled else ""


def _item(root: Path, split: str, row: Row, video: str, options: tuple[str, ...], answer: str) -> Item:
    asked = Asked(split, row.text("question"), options, answer)
    if len(options) != OPTIONS:
        raise SaviError(f"{row.place}: {len(options)} options, where {OPTIONS} belong")
    clip = Clip(video, in_folders(root, FOLDERS, (f"{video}.mp4", f"{video}.MP4")))
    return Item(
        split, asked.question, options, answer, "egoschema", video, clip, letter_prompt(asked.question, options)
    )


def read(asked: Asked, response: str) -> Reading:
    """lmms-eval's parse_multi_choice_response for EgoSchema, which lets letters inside of words count."""
    text = trimmed(response)
    letters = asked.letters
    marks = [mark for form in ("({})", "{} ", "{}.") for mark in map(form.format, letters) if mark in text]
    last = [text.rfind(mark) for mark in marks]
    found = [mark.strip("(). ") for mark in marks]
    if not marks and len(text.split()) > 5:
        lines = [line.strip().lower() for line in lettered(plain_options(asked.options)).split("\n")]
        texts = {letter: line for letter, line in zip(letters, lines, strict=True) if line in text.lower()}
        found, last = list(texts), [text.lower().rfind(line) for line in texts.values()]
    if not found:
        return Reading(None, draws=letters)
    letter = found[last.index(min(last))]
    return Reading(letter, letter == asked.answer)


def trimmed(response: str) -> str:
    """Without punctuation at its ends, taken off a character at a time, and between spaces."""
    for mark in EDGES:
        response = response.strip(mark)
    return f" {response} "


def normalize_row(row: Row) -> Asked:
    asked = read_asked(row)
    return replace(asked, options=plain_options(asked.options))


def submission(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The file for the benchmark's server, where not all answers are public; -1 means no answer."""
    if all(row["answer"] for row in rows):
        return {}
    letters = {row["id"]: row["pred"] or row.get("drawn") for row in rows}
    chosen = {video: LETTERS.index(letter) if letter else -1 for video, letter in letters.items()}
    return {"egoschema_submission.json": chosen}


EGOSCHEMA = Benchmark(
    name="egoschema",
    title="EgoSchema",
    paper=(52.0, 58.8),
    load=load,
    read=read,
    check=check_letters,
    max_new_tokens=16,
    splits=("subset", "full"),
    normalize_row=normalize_row,
    extra_files=submission,
)
