"""What a folder of teaching was begun with: it is kept there, and nothing else may resume it."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from savi.errors import SaviError
from savi.files import write_text


@dataclass(frozen=True)
class Beginning:
    """seed: of scenes, prior, lessons and weights. prior: what each probability of the language prior is multiplied by:
    1 makes a strong one, 0 none. start: SHA-256 of the file of `taught` whose content is taught on, "" without one.
    """

    seed: int = 1
    prior: float = 1.0
    start: str = ""


def require_begun(work: Path) -> None:
    """Raises SaviError for a folder in which nothing has been taught: it would become one."""
    if not (work / "begun.json").is_file():
        raise SaviError(f"{work} is no folder of tools.natural_base.teach")


def begin(work: Path, seed: int | None, prior: float | None, start: Path | None) -> Beginning:
    """The folder's beginning; in a new folder the given one, and the start file is copied there as start.safetensors.

    None: the folder's own, or the default in a new one. Raises SaviError for another one than the folder's.
    """
    if prior is not None and not 0 <= prior <= 1:
        raise SaviError(f"--prior {prior}: between 0, none, and 1, the strong one")
    if start and not start.is_file():
        raise SaviError(f"--start {start} is no file")
    content = start.read_bytes() if start else b""
    given: dict[str, Any] = {
        "seed": seed,
        "prior": prior,
        "start": hashlib.sha256(content).hexdigest() if start else None,
    }
    named = {name: value for name, value in given.items() if value is not None}
    kept = work / "begun.json"
    if not kept.exists():
        if start:
            shutil.copyfile(start, work / "start.safetensors")
        write_text(kept, json.dumps(asdict(Beginning(**named))))
    begun = Beginning(**json.loads(kept.read_text()))
    for field in fields(begun):
        own = getattr(begun, field.name)
        if named.get(field.name, own) != own:
            raise SaviError(f"{work} was begun with {field.name} {own or 'none'}, not {named[field.name]}")
    return begun
