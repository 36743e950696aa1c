"""NExT-QA (Xiao et al., CVPR 2021), multiple choice: causal, temporal and descriptive questions, five options."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from savi.evaluation.benchmarks.egoschema import trimmed
from savi.evaluation.benchmarks.files import find, in_folders, need
from savi.evaluation.benchmarks.items import (
    LETTERS,
    Asked,
    Benchmark,
    Item,
    Options,
    Reading,
    check_letters,
    lettered,
)
from savi.evaluation.benchmarks.rows import Row, read_json, read_rows
from savi.types import Clip, SaviError

OPTIONS = 5
FILES = ("{}.csv", "nextqa/{}.csv", "dataset/nextqa/{}.csv", "**/{}.csv", "MC/{}*.parquet", "**/{}*.parquet")
MAPS = ("map_vid_vidorID.json", "nextqa/map_vid_vidorID.json", "**/map_vid_vidorID.json")
FOLDERS = ("NExTVideo", "videos/NExTVideo", "videos", "")

TYPES = {"C": "causal", "T": "temporal", "D": "descriptive"}


def load(root: Path, options: Options) -> list[Item]:
    """From the official CSV file (and its map to file names), or the hub's rows. Raises SaviError."""
    split = options.split or "test"
    path = need(root, [name.format(split) for name in FILES], "nextqa")
    rows = _read_csv(path) if path.suffix == ".csv" else read_rows(path)
    found = find(root, MAPS)
    files = read_json(found) if found else {}
    if not isinstance(files, dict):
        raise SaviError(f"{found}: not a mapping of videos to files")
    return [_item(root, files, row) for row in rows]


def _read_csv(path: Path) -> list[Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            return [Row(f"{path}, line {reader.line_num}", row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SaviError(f"{path}: can't be read ({error})") from None


def _item(root: Path, files: dict[str, str], row: Row) -> Item:
    video, kind = row.text("video"), row.text("type")
    options = tuple(row.text(f"a{i}").strip() for i in range(OPTIONS))
    asked = Asked(kind, row.text("question").strip(), options, LETTERS[row.index("answer", options)])
    if kind[:1] not in TYPES:
        raise SaviError(f"{row.place}: {kind!r} is no type of question")
    names = [f"{name}.{suffix}" for name in (video, files.get(video, video)) for suffix in ("mp4", "MP4")]
    clip = Clip(video, in_folders(root, FOLDERS, names))
    return Item(
        kind,
        asked.question,
        options,
        asked.answer,
        "nextqa",
        f"{video}_{row.text('qid')}",
        clip,
        prompt(asked),
        {"type": TYPES[kind[0]]},
    )


def prompt(asked: Asked) -> str:
    """lmms-eval adds no word on how to answer."""
    return f"{asked.question}\n{lettered(asked.options)}"


def read(asked: Asked, response: str) -> Reading:
    """lmms-eval's parse_multi_choice_response for NExT-QA: the first form that is there, and of several the last."""
    text = trimmed(response)
    for form, place in (("({})", "({})"), ("{} ", " {} "), ("{}.", " {} ")):
        found = [letter for letter in asked.letters if form.format(letter) in text]
        if found:
            return _last(asked, found, [text.rfind(place.format(letter)) for letter in found])
    lower = text.lower()
    texts = {letter: option.strip().lower() for letter, option in zip(asked.letters, asked.options, strict=True)}
    named = [letter for letter, option in texts.items() if option in lower] if len(text.split()) > 5 else []
    if named:
        return _last(asked, named, [lower.rfind(texts[letter]) for letter in named])
    return Reading(None, draws=asked.letters)


def _last(asked: Asked, found: Sequence[str], places: Sequence[int]) -> Reading:
    letter = found[places.index(max(places))]
    return Reading(letter, letter == asked.answer)


NEXTQA = Benchmark(
    name="nextqa",
    title="NExT-QA",
    paper=(77.0, 80.6),
    load=load,
    read=read,
    check=check_letters,
    splits=("test", "val"),
)
