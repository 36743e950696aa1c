"""The error that ended a run in training, for who looks at its folder later."""

from __future__ import annotations

import json
from pathlib import Path

from savi.files import write_json

FAILURE = "failure.json"


def write_failure(run: Path, error: BaseException) -> None:
    """Keep an error in one line."""
    write_json(run / FAILURE, {"error": " ".join(str(error).split()) or type(error).__name__})


def clear_failure(run: Path) -> None:
    """A run that trains again hasn't failed."""
    (run / FAILURE).unlink(missing_ok=True)


def read_failure(run: Path) -> str | None:
    """The error, None for a run that didn't fail, or not in training."""
    try:
        return str(json.loads((run / FAILURE).read_text(encoding="utf-8"))["error"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
