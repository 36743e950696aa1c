"""Files that are either the old or the new one, also after a kill or on a full disk."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from savi.types import SaviError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path next to `path`. Its file replaces `path` when the block ends, and is removed when it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a file in UTF-8. A lone surrogate is no text in UTF-8: it becomes "?"."""
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "replace"))


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON. Raises SaviError for a number that isn't finite: JSON has no word for it."""
    write_text(path, _dumps(path, value, indent=1) + "\n")


def write_json_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object per line. Raises SaviError for a number that isn't finite."""
    write_text(path, "".join(_dumps(path, record, ensure_ascii=False) + "\n" for record in records))


def _dumps(path: Path, value: Any, **options: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False, **options)
    except ValueError:
        raise SaviError(f"{path} is not written: a number in it isn't finite") from None
