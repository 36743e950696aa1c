"""Questions with known answers, for the readiness check alone."""

from __future__ import annotations

from pathlib import Path

from savi.data.clips import rows
from savi.types import Clip, Labelled, SaviError


def read_labelled(file: Path) -> list[Labelled]:
    """The questions of a .jsonl, .json, .csv or .tsv file with `video`, `question` and `answer`.

    Paths are relative to the file's folder. Answers are short: a reply is right where it says the same words. Raises
    SaviError for a file or a video that isn't there, and for a row without one of the three.
    """
    if not file.is_file():
        raise SaviError(f"{file}: no such file")
    labelled = []
    for place, row in rows(file):
        fields = [row.get(name) if isinstance(row, dict) else None for name in ("video", "question", "answer")]
        if not all(isinstance(field, str) and field.strip() for field in fields):
            raise SaviError(f"{place}: needs video, question and answer, each a text")
        video, question, answer = (str(field).strip() for field in fields)
        path = file.parent / Path(video).expanduser()
        if not path.exists():
            raise SaviError(f"{place}: no video at {path}")
        labelled.append(Labelled(Clip(video, path), question, answer))
    if not labelled:
        raise SaviError(f"{file} is empty")
    return labelled
