"""What a campaign has done so far: one JSON object a line, written by several processes, read after any stop."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any


def append(path: Path, record: dict[str, Any]) -> None:
    """Add a record as a whole: one write to the end of the file, so that two processes may do it at once."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(descriptor, (json.dumps(record) + "\n").encode())
    finally:
        os.close(descriptor)


def records(path: Path) -> list[dict[str, Any]]:
    """All records. A line that a power cut left half written doesn't count."""
    found = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found
