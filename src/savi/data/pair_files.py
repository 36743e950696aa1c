"""The preference pairs of a source: its rows, whose clips are found among the files on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from savi.conversations import opening, simplified
from savi.critique.given import GivenPair, GivenPairs, RefusedRow
from savi.data.image_clips import image_clip
from savi.data.pair_rows import Row, find_pair_files, rows_of
from savi.data.pair_shapes import SAVI, ShapedRow, Shown, read_row
from savi.errors import SaviError
from savi.types import Clip, OpenedClip, readable


def read_given_pairs(source: str, videos: str | None = None, cache: Path | None = None) -> GivenPairs:
    """The pairs of a file, a glob, a folder or a data set of the hub, and the rows that no pair can be made of.

    videos: the folder that relative paths of videos and images start from; by default each file's own. cache: the
    folder for clips that are made of images; by default savi_images/ next to them. Raises SaviError for a source that
    can't be read at all, and for one without a usable pair.
    """
    folder = Path(videos).expanduser() if videos is not None else None
    if folder is not None and not folder.is_dir():
        raise SaviError(f"data.videos: {videos} is no folder")
    pairs: list[GivenPair] = []
    refused: list[RefusedRow] = []
    shapes: Counter[str] = Counter()
    clips = _Clips(folder, cache)
    files = find_pair_files(source)
    for row in rows_of(source, files):
        try:
            shaped = _shaped(row)
            prompt = simplified(shaped.conversation)
            clip, *other = (
                clips.find(shown, shaped.shape, row.folder, opening(prompt))
                for shown in (shaped.shown, shaped.rejected_shown)
                if shown is not None
            )
            same = not other or other[0] == clip
            if same and shaped.chosen == shaped.rejected:
                raise ValueError("chosen and rejected are the same")
            rejected_clip = None if same else other[0]
            pair = GivenPair(row.place, clip, prompt, shaped.chosen, shaped.rejected, rejected_clip)
        except ValueError as error:
            refused.append(RefusedRow(row.place, str(error)))
            continue
        pairs.append(pair)
        shapes[shaped.shape] += 1
    if not pairs:
        first = f"; {refused[0].place}: {refused[0].reason}" if refused else ""
        raise SaviError(f"data.pairs: {source} has no pair to learn from ({len(refused)} rows can't be used{first})")
    home = files[0].parent if files else None
    return GivenPairs(source, home, tuple(pairs), tuple(refused), shapes)


class _Clips:
    """The clips of a source: each file has one id, however its path is written, and one more for each text before it.

    A clip is called as its path was first written.
    """

    def __init__(self, folder: Path | None, cache: Path | None) -> None:
        self._folder = folder
        self._cache = cache
        self._found: dict[tuple[Shown, Path | None, str], tuple[Path, Path]] = {}
        self._names: dict[Path, str] = {}
        self._clips: dict[tuple[Path, Any], Clip] = {}
        self._ids: set[str] = set()

    def find(self, shown: Shown, shape: str, folder: Path | None, before: Any) -> Clip:
        """The clip of a row. Raises ValueError for a row without a video file or images."""
        if not shown.paths:
            raise ValueError("it has no video")
        name = shown.paths[0]
        place = (shown, folder, shape)
        if place not in self._found:
            paths = [self._locate(path, folder, shape) for path in shown.paths]
            path = image_clip(paths, self._cache) if shown.images else paths[0]
            self._found[place] = (path, path.resolve())
        path, resolved = self._found[place]
        known = (resolved, before)
        if known not in self._clips:
            identity = self._new_id(self._names.setdefault(known[0], readable(name)))
            self._clips[known] = OpenedClip(identity, path, before) if before else Clip(identity, path)
        return self._clips[known]

    def _locate(self, name: str, folder: Path | None, shape: str) -> Path:
        if "://" in name:
            raise ValueError(f"{name} is an address; savi reads files")
        start = self._folder or folder
        path = Path(name).expanduser()
        if start is None and not path.is_absolute():
            raise ValueError(f"{name} is a relative path: data.videos says where it starts")
        found = start / path if start else path
        if shape == SAVI and self._folder is None and not found.is_file():
            found = path  # a run writes the paths of its clips as they were given, from where it was started
        if not found.is_file():
            raise ValueError(f"there is no file at {found}")
        return found

    def _new_id(self, name: str) -> str:
        number, identity = 1, name
        while identity in self._ids:
            number += 1
            identity = f"{name} ({number})"
        self._ids.add(identity)
        return identity


def _shaped(row: Row) -> ShapedRow:
    if row.error:
        raise ValueError(row.error)
    if not isinstance(row.content, Mapping):
        raise ValueError("it is no object with fields")
    return read_row(row.content)
