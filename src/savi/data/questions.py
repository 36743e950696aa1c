"""Questions about clips from a file, for `savi predict`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from savi.data.clips import rows
from savi.types import Clip, SaviError, readable

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv")


@dataclass(frozen=True)
class Question:
    """One question about a clip. id: as the file has it; the row's number, from 1, where it has none.

    clip: its id is the video as the file names it.
    """

    id: int | str
    clip: Clip
    text: str


def read_questions(file: Path) -> list[Question]:
    """The questions of a file in its order: rows with `video`, `question` and, if wanted, `id`.

    file: .jsonl, .json (a list), .csv or .tsv. Paths of videos are relative to the file's folder. No video is opened.
    Raises SaviError for a file or a video that isn't there, a row without video or question, and an id that two rows
    have.
    """
    if not file.is_file():
        raise SaviError(f"{file}: no such file")
    if file.suffix.lower() not in SUFFIXES:
        raise SaviError(f"{file}: questions are in a file of {', '.join(SUFFIXES)}, by its suffix")
    questions: list[Question] = []
    places: dict[str, str] = {}
    for place, row in rows(file):
        one = _question(row, place, file.parent, len(questions) + 1)
        if (other := places.setdefault(str(one.id), place)) != place:
            raise SaviError(f"{place}: the id {one.id!r} is there already, from {other}")
        questions.append(one)
    if not questions:
        raise SaviError(f"{file} has no questions")
    return questions


def by_clip(questions: Sequence[Question]) -> list[list[Question]]:
    """The questions of each clip, in the order in which the clips come first. One file is one clip, however named."""
    groups: dict[Path, list[Question]] = {}
    for question in questions:
        groups.setdefault(question.clip.path.resolve(), []).append(question)
    return list(groups.values())


def _question(row: Any, place: str, folder: Path, number: int) -> Question:
    fields = [row.get(name) if isinstance(row, dict) else None for name in ("video", "question")]
    if not all(isinstance(field, str) and field.strip() for field in fields):
        raise SaviError(f"{place}: needs video and question, each a text")
    video, text = (str(field).strip() for field in fields)
    path = folder / Path(video).expanduser()
    if not path.is_file():
        raise SaviError(f"{place}: no video at {path}")
    given = row.get("id")
    if given is None or given == "":
        given = number
    if isinstance(given, bool) or not isinstance(given, int | str):
        raise SaviError(f"{place}: the id must be a text or a whole number")
    return Question(readable(given) if isinstance(given, str) else given, Clip(readable(video), path), readable(text))
