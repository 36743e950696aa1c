"""The reference's log-probabilities of pairs from files, kept next to the files for later runs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from savi.critique.pairs import json_line

FOLDER = "savi_reference"
"""The folder next to a file of pairs."""

Logps = tuple[float, float]
"""Of the chosen and of the rejected response, each summed over its tokens and the end token."""


class ReferenceLogps:
    """Log-probabilities by the digest of a pair, see :meth:`savi.critique.given.GivenPair.digest`.

    One file holds those of one frozen model. Where the first folder can't be written, the next one is taken.
    """

    def __init__(self, folders: Sequence[Path], model: str) -> None:
        """folders: places for the file, the best first. model: a digest of the frozen model and how it computes."""
        self._places = [folder / f"{model}.jsonl" for folder in folders]
        self._known: dict[str, Logps] = {}
        for place in reversed(self._places):
            self._known |= _read(place)
        self._kept = len(self._known)

    def get(self, pair: str) -> Logps | None:
        return self._known.get(pair)

    def add(self, logps: Mapping[str, Logps]) -> None:
        """Take new ones; `write` keeps them."""
        self._known |= logps

    def write(self) -> Path | None:
        """Keep what is new. The file, or None where there is nothing new or no place for it."""
        if len(self._known) == self._kept:
            return None
        for place in self._places:
            try:
                _write(place, _read(place) | self._known)
            except OSError:
                continue
            self._kept = len(self._known)
            return place
        return None


def _read(place: Path) -> dict[str, Logps]:
    """A line that can't be read is computed anew."""
    try:
        lines = place.read_bytes().splitlines()
    except OSError:
        return {}
    known = {}
    for line in lines:
        try:
            record = json.loads(line)
            known[str(record["pair"])] = (float(record["chosen"]), float(record["rejected"]))
        except (ValueError, KeyError, TypeError):
            continue
    return known


def _write(place: Path, known: Mapping[str, Logps]) -> None:
    """Whole or not at all. Runs may share the folder, so the file's first name has the number of the process."""
    place.parent.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_suffix(f".{os.getpid()}")
    try:
        records = ({"pair": pair, "chosen": logps[0], "rejected": logps[1]} for pair, logps in known.items())
        unfinished.write_bytes(b"".join(map(json_line, records)))
        unfinished.replace(place)
    finally:
        unfinished.unlink(missing_ok=True)
