"""A folder, a glob or a manifest of video files to clips, each with a name of its own."""

from __future__ import annotations

import csv
import glob
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from savi.types import Clip, SaviError, readable

# Animated GIFs are in: they are a common source of short clips (TGIF), and decode like any other.
VIDEO_SUFFIXES = frozenset(
    ".3gp .avi .flv .gif .m4v .mkv .mov .mp4 .mpeg .mpg .ts .webm .wmv".split()  # noqa: SIM905 (one extension a word)
)
MANIFEST_SUFFIXES = (".txt", ".csv", ".tsv", ".jsonl", ".json")


@dataclass(frozen=True)
class _Entry:
    """A file as its source names it. id: None where the source gives none. place: for messages."""

    name: PurePath
    path: Path
    id: str | None = None
    place: str = ""


def find_clips(source: str | Path, limit: int | None = None) -> list[Clip]:
    """The clips of a source, the first `limit` of them.

    source: a folder, searched through with its subfolders for known video suffixes; a glob such as
    "videos/**/*.mp4"; one video file; or a manifest. A manifest is a .txt with a path a line ("#" begins a comment),
    a .csv or .tsv with a column `video` or `path`, a .jsonl or .json list of strings or of objects with `video` or
    `path`; tables and objects may have an `id`. A manifest's paths are relative to its folder.

    Folders and globs come sorted, manifests in their own order. An id is the path from the folder without its
    suffix, or with it where two would be called the same; it doesn't depend on `limit`. A name that isn't UTF-8 has a
    readable id, such as caf\\xe9. Files aren't opened: one
    that is named and missing is left for the decoder to refuse. Raises SaviError.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        entries = [_Entry(file.relative_to(path), file) for file in _videos(path.rglob("*"), path)]
    elif path.suffix.lower() in VIDEO_SUFFIXES and path.is_file():
        entries = [_Entry(PurePath(path.name), path)]
    elif path.is_file():
        entries = list(_read_manifest(path))
    elif glob.has_magic(str(path)):
        root = _fixed_part(path)
        found = (Path(name) for name in glob.iglob(str(path), recursive=True))  # noqa: PTH207 (takes "**.mp4")
        entries = [_Entry(file.relative_to(root), file) for file in _videos(found, root)]
    else:
        raise SaviError(f"{source}: no such file or folder")
    if not entries:
        raise SaviError(f"{source}: no video found (known suffixes: {' '.join(sorted(VIDEO_SUFFIXES))})")
    return _named(entries)[:limit]


def _videos(files: Iterator[Path], root: Path) -> list[Path]:
    """The video files among them, sorted, without hidden ones (a Mac's "._clip.mp4", say)."""
    return sorted(
        file
        for file in set(files)
        if file.suffix.lower() in VIDEO_SUFFIXES
        and not any(part.startswith(".") for part in file.relative_to(root).parts)
        and file.is_file()
    )


def _fixed_part(pattern: Path) -> Path:
    """The folder above the first part with a wildcard."""
    wild = next(i for i, part in enumerate(pattern.parts) if glob.has_magic(part))
    return Path(*pattern.parts[:wild])


def _named(entries: Sequence[_Entry]) -> list[Clip]:
    short = Counter(_stem(entry.name) for entry in entries if entry.id is None)
    full = {entry.name.as_posix() for entry in entries if entry.id is None}
    places: dict[str, str] = {}
    clips = []
    for entry in entries:
        stem = _stem(entry.name)
        name = stem if short[stem] == 1 and stem not in full else entry.name.as_posix()
        identity = readable(entry.id or name)
        if identity in places:
            raise SaviError(f"{entry.place}: the id {identity!r} is there already, from {places[identity]}")
        places[identity] = entry.place
        clips.append(Clip(identity, entry.path))
    return clips


def _stem(name: PurePath) -> str:
    return (name.with_suffix("") if name.suffix.lower() in VIDEO_SUFFIXES else name).as_posix()


def _read_manifest(manifest: Path) -> Iterator[_Entry]:
    if manifest.suffix.lower() not in MANIFEST_SUFFIXES:
        known = ", ".join(MANIFEST_SUFFIXES)
        raise SaviError(f"{manifest}: neither a video nor a manifest ({known}), by its suffix")
    for place, row in rows(manifest):
        path, identity = _fields(row, place)
        yield _Entry(PurePath(path), manifest.parent / Path(path).expanduser(), identity, place)


def rows(manifest: Path) -> Iterator[tuple[str, Any]]:
    """Each row of a manifest as a string or a mapping, with its place in words. Raises SaviError."""
    try:
        yield from _rows(manifest)
    except (UnicodeDecodeError, csv.Error) as error:
        raise SaviError(f"{manifest}: can't be read ({error})") from error


def _rows(manifest: Path) -> Iterator[tuple[str, Any]]:
    kind = manifest.suffix.lower()
    with manifest.open(encoding="utf-8-sig", newline="") as file:
        if kind in (".csv", ".tsv"):
            table = csv.DictReader(file, delimiter="," if kind == ".csv" else "\t")
            if not {"video", "path"} & set(table.fieldnames or ()):
                raise SaviError(f"{manifest}, line 1: no column named video or path")
            for row in table:
                yield f"{manifest}, line {table.line_num}", row
        elif kind == ".json":
            rows = _parsed(file.read(), str(manifest))
            if not isinstance(rows, list):
                raise SaviError(f"{manifest}: not a list")
            for number, row in enumerate(rows, start=1):
                yield f"{manifest}, entry {number}", row
        else:
            for number, line in enumerate(file, start=1):
                place = f"{manifest}, line {number}"
                if line.strip() and not (kind == ".txt" and line.lstrip().startswith("#")):
                    yield place, line.strip() if kind == ".txt" else _parsed(line, place)


def _parsed(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise SaviError(f"{place}: not JSON ({error.msg})") from error


def _fields(row: Any, place: str) -> tuple[str, str | None]:
    """Path and id of a manifest's row."""
    path, identity = row, None
    if isinstance(row, dict):
        path, identity = row.get("video") or row.get("path"), row.get("id")
    if not isinstance(path, str) or not path.strip():
        raise SaviError(f"{place}: no path of a video")
    return path.strip(), str(identity) if identity not in (None, "") else None
