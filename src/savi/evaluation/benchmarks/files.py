"""Where a benchmark's official files and videos are, and which are missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from savi.evaluation.benchmarks.items import Item
from savi.types import SaviError


def find(root: Path, patterns: Sequence[str]) -> Path | None:
    """The first file under `root` that one of the patterns names, in the patterns' order."""
    return next((path for pattern in patterns for path in sorted(root.glob(pattern)) if path.is_file()), None)


def need(root: Path, patterns: Sequence[str], benchmark: str) -> Path:
    """The same. Raises SaviError where there is none."""
    if not root.is_dir():
        raise SaviError(f"data.benchmark.{benchmark}.root: {root} is not a folder")
    found = find(root, patterns)
    if found is None:
        raise SaviError(f"data.benchmark.{benchmark}.root: {root} holds none of {', '.join(patterns)}")
    return found


def first_there(paths: Iterable[Path]) -> Path:
    """The first path that exists; the very first one where none does, for the report to name."""
    candidates = list(paths)
    return next((path for path in candidates if path.exists()), candidates[0])


def in_folders(root: Path, folders: Sequence[str], names: Sequence[str]) -> Path:
    """A video that may lie in one of some folders, under one of some names."""
    return first_there(root / folder / name for folder in folders for name in names)


def missing_videos(items: Sequence[Item]) -> dict[Path, str]:
    """The files (or folders of frames) that aren't there, each with the task of an item that needs it."""
    there: dict[Path, bool] = {}
    for item in items:
        if item.clip.path not in there:
            there[item.clip.path] = item.clip.path.exists()
    return {item.clip.path: item.task for item in reversed(items) if not there[item.clip.path]}


def report_missing(benchmark: str, items: Sequence[Item]) -> str | None:
    """One line on the videos that aren't there: how many, of which tasks, an example. None where all are."""
    missing = missing_videos(items)
    if not missing:
        return None
    videos = len({item.clip.path for item in items})
    tasks = Counter(missing.values()).most_common()
    listed = ", ".join(f"{task} {count}" for task, count in tasks[:5]) + (", ..." if len(tasks) > 5 else "")
    example = next(reversed(missing))
    return (
        f"data.benchmark.{benchmark}: {len(missing)} of {videos} videos are missing ({listed}), "
        f"for instance {example}; put them there, choose `tasks`, or go without them with `allow_missing: true`"
    )
