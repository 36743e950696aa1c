"""Files of JSON lines read in parts, so that a file larger than the memory can be paged through."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from savi.critique.pairs import to_record

BLOCK = 2**20


def records(path: Path, start: int, end: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """(place of the byte behind it, record) of each whole line between two places of a file.

    A last line without its end is being written, or was cut off: it is left out. Raises SaviError for a damaged line.
    """
    with path.open("rb") as file:
        file.seek(start)
        place = start
        for line in file:
            if place + len(line) > end or not line.endswith(b"\n"):
                return
            record = to_record(f"{path}, at byte {place}", line)
            place += len(line)
            yield place, record


def line_starts(path: Path, start: int, end: int) -> array[int]:
    """The places of the first bytes of the whole lines between two places, and of the byte behind the last one."""
    starts = array("Q", [start])
    with path.open("rb") as file:
        file.seek(start)
        place = start
        while place < end and (block := file.read(min(BLOCK, end - place))):
            at = -1
            while (at := block.find(b"\n", at + 1)) >= 0:
                starts.append(place + at + 1)
            place += len(block)
    return starts
