"""The output of `savi predict`: rows of JSON, appended batch by batch, that a killed command continues."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from savi.data.questions import Question
from savi.files import write_durably
from savi.types import SaviError

Row = Mapping[str, Any]


class ReplyFile:
    """Rows of the questions of each clip, in order. clips_done: clips whose rows are in the file."""

    def __init__(self, file: IO[bytes], clips_done: int) -> None:
        self._file = file
        self.clips_done = clips_done

    def add(self, rows: Sequence[Row], clips: int) -> None:
        """Append the rows of a batch of clips. They are on the disk when this returns."""
        self._file.write(b"".join(_line(row) for row in rows))
        self._file.flush()
        os.fsync(self._file.fileno())
        self.clips_done += clips


@contextmanager
def open_replies(
    path: Path, made_from: Mapping[str, Any], groups: Sequence[Sequence[Question]], batch_clips: int
) -> Iterator[ReplyFile]:
    """Begin a file of replies, or continue one after its last whole batch.

    made_from: everything that the replies depend on, by name, kept next to the file as `<name>.made_from.json`. groups:
    the questions of each clip. Raises SaviError for a file that was made from something else, that isn't savi's, or
    that another process writes.
    """
    record = path.with_name(f"{path.name}.made_from.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        _lock(file, path)
        if file.tell():
            _check_record(path, record, made_from)
        else:
            write_durably(record, (json.dumps(made_from, indent=1) + "\n").encode())
        clips, size = _whole_batches(file, path, groups, batch_clips)
        file.truncate(size)
        try:
            yield ReplyFile(file, clips)
        finally:
            if not os.fstat(file.fileno()).st_size:  # a model that can't be loaded leaves nothing behind
                path.unlink(missing_ok=True)
                record.unlink(missing_ok=True)


def _lock(file: IO[bytes], path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SaviError(f"--output {path}: another process writes this file") from None
    except OSError:
        pass  # some network file systems know no locks: a file there does without


def _check_record(path: Path, record: Path, made_from: Mapping[str, Any]) -> None:
    """Raises SaviError for a file whose rows were made from something else."""
    try:
        earlier = json.loads(record.read_text(encoding="utf-8"))
        differ = [name for name in made_from if earlier.get(name) != made_from[name]]
    except (OSError, ValueError, AttributeError):
        raise SaviError(
            f"--output {path}: the file is not one that savi predict began ({record.name} is missing or "
            "damaged); choose another name"
        ) from None
    if differ:
        names = ", ".join(name.replace("_", " ") for name in differ)
        raise SaviError(f"--output {path}: its rows are of a different setting ({names}); choose another name")


def _whole_batches(
    file: IO[bytes], path: Path, groups: Sequence[Sequence[Question]], batch_clips: int
) -> tuple[int, int]:
    """How many clips' rows to keep, and their bytes. A batch that isn't whole is asked again, with all of its clips."""
    file.seek(0)
    size = kept_clips = kept = 0
    lines = iter(file)
    number = 0
    for clips, group in enumerate(groups, start=1):
        for question in group:
            line = next(lines, b"")
            if not line.endswith(b"\n"):
                return kept_clips, kept
            number += 1
            if not _belongs(line, question):
                raise SaviError(f"--output {path}, line {number}: not the row of question {question.id!r}; remove it")
            size += len(line)
        if clips % batch_clips == 0 or clips == len(groups):
            kept_clips, kept = clips, size
    return kept_clips, kept


def _belongs(line: bytes, question: Question) -> bool:
    """Whether a row of the file is of this question."""
    try:
        row = json.loads(line)
        return [row["id"], row["video"], row["question"]] == [question.id, question.clip.id, question.text]
    except (ValueError, KeyError, TypeError):
        return False


def _line(row: Row) -> bytes:
    return (json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "replace")
