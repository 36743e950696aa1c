"""All documents of the page, for the server and for the static export alike."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from threading import Lock
from typing import Any

from savi.types import SaviError
from savi.video.packets import UnreadableError
from savi.view.answers import HeldOut, difference, evaluations
from savi.view.compare import differing_settings
from savi.view.judge import Judge
from savi.view.media import Media, Place
from savi.view.overview import overview
from savi.view.pairs import Pairs
from savi.view.run import ViewedRun

ASSETS = Path(__file__).parent / "assets"

NAME = re.compile(r"(?:(\d+)/)?([a-z]+)((?:_\d+)*)")
"""A document's name: the number of its run, its kind, and further numbers."""


class Site:
    """The runs that a page is about. Thread-safe: what reads a run's larger files is done by one thread at a time.

    live: whether a server answers, so that the page follows the runs and takes judgments.
    """

    def __init__(self, folders: Sequence[Path], media: Media) -> None:
        self._runs = [ViewedRun(folder) for folder in folders]
        places, names = [run.folder for run in self._runs], [run.name for run in self._runs]
        if again := [str(folder) for folder in places if places.count(folder) > 1]:
            raise SaviError(f"view: {again[0]} is given twice")
        # Runs of one name are told apart by their folders.
        self._names = [
            name if names.count(name) == 1 else str(folder) for name, folder in zip(names, places, strict=True)
        ]
        self._versions = [""] * len(folders)
        self.pairs = [Pairs(run.folder) for run in self._runs]
        self.held_out = [HeldOut() for _ in folders]
        self.judges = [Judge(pairs.folder, pairs) for pairs in self.pairs]
        self.media = media
        self.live = False
        self._lock, self._lock_of_runs = Lock(), Lock()

    def run(self, number: int) -> ViewedRun:
        """A run as it is now."""
        run = ViewedRun(self._runs[number].folder)
        version = run.version()
        with self._lock_of_runs:
            if version != self._versions[number]:
                self._runs[number], self._versions[number] = run, version
            return self._runs[number]

    def warm_up(self) -> None:
        """Read the rounds' files, which takes a second for a large one, before somebody asks for them."""
        for number, pairs in enumerate(self.pairs):
            for round in sorted(self.run(number).built):
                with self._lock:
                    pairs.refresh(self.run(number), round)

    def video(self, run: int, clip: int) -> Path:
        """The file of a clip's video. Raises UnreadableError where there is none."""
        found = None
        if run < len(self.pairs):
            with self._lock:
                self.pairs[run].refresh(self.run(run))
                found = self.pairs[run].place(clip)
        return _file(found)

    def held_out_video(self, run: int, number: int) -> Path:
        """The file of a held-out question's video. Raises UnreadableError where there is none."""
        return _file(self.held_out[run].place(number) if run < len(self.held_out) else None)

    def names(self) -> Iterator[str]:
        """Every document, for a page without a server."""
        yield from ("site", "settings")
        yield from self._differences()
        for number, pairs in enumerate(self.pairs):
            run = self.run(number)
            yield from (f"{number}/overview", f"{number}/judge", f"{number}/agreement")
            yield from (f"{number}/{name}" for name in pairs.names(run))
            yield from (f"{number}/{name}" for name in self.held_out[number].names(run))

    def _differences(self) -> Iterator[str]:
        """One document for every two evaluations on a benchmark, the earlier run's or round's first."""
        found: dict[str, list[str]] = {}
        for number in range(len(self._runs)):
            for benchmark, (name, files) in enumerate(evaluations(self.run(number)).items()):
                found.setdefault(name, []).extend(f"{number}_{benchmark}_{round}" for round in files)
        for places in found.values():
            yield from (f"difference_{one}_{other}" for one, other in combinations(places, 2))

    def document(self, name: str) -> dict[str, Any] | None:
        """The document of a name, None where there is none."""
        found = NAME.fullmatch(name)
        if found is None:
            return None
        kind, numbers = found[2], [int(number) for number in found[3].split("_")[1:]]
        if found[1] is None:
            return self._of_all(kind, numbers)
        number = int(found[1])
        if number >= len(self._runs):
            return None
        run = self.run(number)
        try:
            # The overview waits for no larger file, and nothing waits for a video.
            if (kind, numbers) == ("overview", []):
                return overview(run)
            if kind in ("media", "held") and len(numbers) == 1:
                return self._player(number, run, kind, numbers[0])
            with self._lock:
                if kind in ("judge", "agreement") and not numbers:
                    self.pairs[number].refresh(run)
                    judge = self.judges[number]
                    return judge.document(self.live) if kind == "judge" else judge.agreement()
                made = self.pairs[number].document(run, kind, numbers)
                return made or self.held_out[number].document(run, kind, numbers)
        except SaviError as error:
            return {"problem": str(error)}

    def _of_all(self, kind: str, numbers: list[int]) -> dict[str, Any] | None:
        """A document about more than one run."""
        try:
            match kind, numbers:
                case "site", []:
                    return self._site()
                case "settings", []:
                    return differing_settings([self.run(number) for number in range(len(self._runs))])
                case "difference", [a, benchmark_a, round_a, b, benchmark_b, round_b] if max(a, b) < len(self._runs):
                    return difference(self.run(a), benchmark_a, round_a, self.run(b), benchmark_b, round_b)
        except SaviError as error:
            return {"problem": str(error)}
        return None

    def search(self, run: int, round: int, words: str) -> dict[int, list[int]]:
        """As Pairs.search(); {} for a run that isn't there. Raises SaviError for a damaged file."""
        if run >= len(self.pairs):
            return {}
        with self._lock:
            return self.pairs[run].search(self.run(run), round, words)

    def judge(self, run: int, pair: str, pick: str) -> None:
        """Keep a judgment. Raises SaviError for one of no pair, OSError for a folder that may not be written."""
        if run >= len(self.judges):
            raise SaviError("no such run")
        with self._lock:
            self.pairs[run].refresh(self.run(run))
            self.judges[run].judge(pair, pick)

    def _player(self, number: int, run: ViewedRun, kind: str, at: int) -> dict[str, Any] | None:
        """What the player has to know of a video; None where there is none of that number."""
        with self._lock:
            if kind == "media":
                self.pairs[number].refresh(run)
            found = (self.pairs if kind == "media" else self.held_out)[number].place(at)
        return found and self.media.player(*found, int(run.setting("data.frames") or 32))

    def _site(self) -> dict[str, Any]:
        runs = [self.run(number) for number in range(len(self._runs))]
        return {
            "live": self.live,
            "runs": [
                {
                    "name": name,
                    "folder": str(run.folder),
                    "state": run.status.state,
                    "rounds": sorted(run.built),
                    "version": version,
                }
                for run, name, version in zip(runs, self._names, self._versions, strict=True)
            ],
        }


def _file(found: Place | None) -> Path:
    """Raises UnreadableError where a video isn't there."""
    if found is None or found[0] is None:
        raise UnreadableError("no such file")
    return found[0]


def script(name: str, document: dict[str, Any]) -> bytes:
    """A document as a script that hands it over: pages that are opened from a disk may not fetch other files.

    No character of it can end the script, or a line of it, early.
    """
    text = json.dumps(document, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    return f"savi.receive({json.dumps(name)},{text});\n".encode("ascii")
