"""The rows of files of pairs: JSON lines, JSON, CSV, Parquet, the rounds of another run, or a data set of the hub."""

from __future__ import annotations

import csv
import glob
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from savi.errors import SaviError

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(:[\w.-]+)?")
"""`owner/name`, or `owner/name:split`."""

LARGEST_CELL = 2**30
"""Characters of a cell of a table. The csv module's own limit is for tables of short texts."""


@dataclass(frozen=True)
class Row:
    """A row of a file, or why it can't be read. folder: that relative paths start from; None on the hub."""

    place: str
    content: Any
    folder: Path | None
    error: str | None = None


def rows_of(source: str, files: Sequence[Path] | None) -> Iterator[Row]:
    """The rows of a source's files, or of the data set of the hub that it names. Raises SaviError."""
    if files is None:
        yield from _hub_rows(source)
        return
    for file in files:
        try:
            yield from _file_rows(file)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise SaviError(f"data.pairs: {file} can't be read ({error})") from None


def find_pair_files(source: str) -> list[Path] | None:
    """The files of a source in order; None where it is the name of a data set of the hub. Raises SaviError."""
    path = Path(source).expanduser()
    if path.is_dir():
        files = _files_in(path)
    elif path.is_file():
        files = [path]
    elif glob.has_magic(source):
        files = sorted(Path(name) for name in glob.iglob(str(path), recursive=True))  # noqa: PTH207 (takes "**.jsonl")
        files = [file for file in files if file.is_file()]
    elif HUB_NAME.fullmatch(source):
        return None
    else:
        raise SaviError(f"data.pairs: {source}: no such file or folder")
    if not files:
        raise SaviError(f"data.pairs: {source}: no file with pairs ({' '.join(SUFFIXES)})")
    for file in files:
        if file.suffix.lower() not in SUFFIXES:
            raise SaviError(f"data.pairs: {file} has no known suffix ({' '.join(SUFFIXES)})")
    return files


def _files_in(folder: Path) -> list[Path]:
    """The rounds of a run, or all files of a known kind."""
    for place in (folder / "pairs", folder):
        if rounds := sorted(place.glob("round_*.jsonl")):
            return rounds
    return sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())


def _file_rows(file: Path) -> Iterator[Row]:
    kind = file.suffix.lower()
    if kind == ".parquet":
        yield from _parquet_rows(file)
    elif kind in (".csv", ".tsv"):
        yield from _table_rows(file, "," if kind == ".csv" else "\t")
    elif kind == ".json" and (entries := _entries(file)) is not None:
        for number, entry in enumerate(entries, 1):
            yield Row(f"{file}, entry {number}", entry, file.parent)
    else:
        for number, line in enumerate(file.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
            if line.strip():
                yield _line(f"{file}, line {number}", line, file.parent)


def _line(place: str, line: bytes, folder: Path) -> Row:
    try:
        return Row(place, json.loads(line), folder)
    except ValueError as error:
        return Row(place, None, folder, f"not JSON ({error})")


def _entries(file: Path) -> list[Any] | None:
    """The list in a JSON file; None for a file that has an object on each line in spite of its name."""
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            return None
        raise SaviError(f"data.pairs: {file} is not JSON ({error})") from None
    if isinstance(content, dict):
        return [content]
    if not isinstance(content, list):
        raise SaviError(f"data.pairs: {file} holds neither a list nor an object")
    return content


def _table_rows(file: Path, delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(LARGEST_CELL)
    with file.open(encoding="utf-8-sig", newline="") as opened:
        table = csv.DictReader(opened, delimiter=delimiter)
        for cells in table:
            place = f"{file}, line {table.line_num}"
            if None in cells:
                yield Row(place, None, file.parent, "it has more cells than the table has columns")
            else:
                yield Row(place, {name: _cell(text) for name, text in cells.items()}, file.parent)


def _cell(text: str | None) -> Any:
    """A cell of a table: messages and lists of videos are in it as JSON."""
    if text and text.lstrip().startswith(("[", "{")):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _parquet_rows(file: Path) -> Iterator[Row]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise SaviError(f"data.pairs: {file} needs pyarrow: pip install pyarrow") from None
    try:
        number = 0
        for batch in parquet.ParquetFile(file).iter_batches():
            for content in batch.to_pylist():
                number += 1
                yield Row(f"{file}, row {number}", content, file.parent)
    except pyarrow.ArrowException as error:
        raise SaviError(f"data.pairs: {file} is not Parquet ({' '.join(str(error).split())})") from None


def _hub_rows(name: str) -> Iterator[Row]:
    try:
        import datasets
    except ImportError:
        raise SaviError(
            f"data.pairs: {name}: no such file, and a data set of the hub needs: pip install datasets"
        ) from None
    owner_and_name, _, split = name.partition(":")
    try:
        rows = datasets.load_dataset(owner_and_name, split=split or "train")
    except Exception as error:  # whatever the hub, the network or the data set's own files end with
        raise SaviError(f"data.pairs: {name} is no file, and can't be had from the hub: {_first_line(error)}") from None
    for column, feature in rows.features.items():
        if isinstance(feature, datasets.Video | datasets.Image):
            rows = rows.cast_column(column, type(feature)(decode=False))
    for number, content in enumerate(rows, 1):
        yield Row(f"{name}, row {number}", content, None)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
