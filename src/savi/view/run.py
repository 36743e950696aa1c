"""A run's folder as the page shows it: whatever state it is in, and without the model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from savi.critique.round_files import Progress, read_progress, round_paths
from savi.evaluation.measured import Entry, measured, read_results
from savi.files import digest_json
from savi.record.failure import read_failure
from savi.record.lock import is_locked
from savi.record.renamed import current_config
from savi.record.resume import newest_config
from savi.types import SaviError

LOOKED_AT = ("config*.yaml", "results.json", "metrics.csv", "summary.png", "*.json", "pairs/*.json*", "logps/*")
"""Files of a run whose times tell that there is something new."""

MARKS = ("config.yaml", "results.json", "lock", "traces", "pairs")
"""A folder with one of these is a run's."""


@dataclass(frozen=True)
class Status:
    """state: "running", "finished", "stopped", "failed" or "measured" (an evaluation alone). text: a sentence."""

    state: str
    text: str


class ViewedRun:
    """A run as it is at one moment; another object is made for the next one. Raises SaviError where no run is."""

    def __init__(self, folder: Path) -> None:
        if not any((folder / mark).exists() for mark in MARKS):
            raise SaviError(f"{folder} is no run (lightning_logs/<name>/version_<n>)")
        self.folder = folder.resolve()
        self.problems: list[str] = []

    @property
    def name(self) -> str:
        """ "demo/version_0", or the folder's name where it was moved."""
        own = self.folder.name
        return f"{self.folder.parent.name}/{own}" if own.startswith("version_") else own

    def version(self) -> str:
        """Another one whenever the run has written something."""
        found = sorted(path for pattern in LOOKED_AT for path in self.folder.glob(pattern))
        times = [(path.name, path.stat().st_mtime_ns) for path in found if path.is_file()]
        return digest_json([times, is_locked(self.folder)])[:12]

    @cached_property
    def config(self) -> dict[str, Any]:
        """Every setting of the newest start, nested; {} where a run never came so far."""
        if not (self.folder / "config.yaml").is_file():
            return {}
        path = newest_config(self.folder)
        try:
            return dict(current_config(yaml.safe_load(path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
            self.problems.append(f"{path.name} can't be read: {' '.join(str(error).split())}")
            return {}

    @cached_property
    def results(self) -> dict[str, Any]:
        """The parsed results.json; without rounds where there is none yet."""
        path = self.folder / "results.json"
        if not path.is_file():
            return {"run": {}, "rounds": []}
        try:
            return read_results(path)
        except SaviError as error:
            self.problems.append(str(error))
            return {"run": {}, "rounds": []}

    @property
    def entries(self) -> list[Entry]:
        """The rounds of results.json, the base's first."""
        return list(self.results["rounds"])

    @cached_property
    def built(self) -> dict[int, Progress | None]:
        """How far the pairs of each round have come, by round from 1; None where an older savi doesn't say."""
        rounds: dict[int, Progress | None] = {}
        for traces in sorted((self.folder / "traces").glob("round_*.jsonl")):
            number = int(traces.stem[6:])
            *_, progress = round_paths(self.folder, number)
            try:
                rounds[number + 1] = read_progress(progress)
            except SaviError as error:
                rounds[number + 1] = None
                if progress.exists():
                    self.problems.append(str(error))
        return rounds

    @cached_property
    def clip_count(self) -> int | None:
        """How many clips a round has, where the run's folder says."""
        whole = [progress.clips for progress in self.built.values() if progress and progress.complete]
        if whole:
            return whole[0]
        try:
            return len(json.loads((self.folder / "clips.json").read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return None

    @property
    def planned(self) -> int | None:
        """Rounds that the settings ask for; None where they don't say, or where there is no limit."""
        limit = self.setting("trainer.max_epochs")
        return limit if isinstance(limit, int) and limit >= 0 else None

    @property
    def source(self) -> str | None:
        """The file of pairs that the run learns from; None where the model makes its pairs itself."""
        found = self.results["run"].get("pairs") or self.setting("data.pairs")
        return None if found is None else str(found)

    def setting(self, key: str) -> Any:
        """A setting by its dotted key, None where the run has none of that name."""
        value: Any = self.config
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        return value

    @cached_property
    def status(self) -> Status:
        """What the run is doing, or how it ended, by its files and its lock."""
        done = max((entry["round"] for entry in self.entries), default=0)
        of = f" of {self.planned}" if self.planned else ""
        if is_locked(self.folder):
            return Status("running", f"The run is going on: {self._stage(done)}{of}.")
        if reason := self._failure():
            return Status("failed", f"The run failed: {reason}")
        summary = self.folder / "summary.png"
        if done and (summary.is_file() or (self.planned and done >= self.planned)):
            early = "" if not self.planned or done >= self.planned else f"; {self.planned} rounds were planned"
            return Status("finished", f"The run is finished: {done} round{'s' * (done > 1)}{early}.")
        if not self.config and measured(self.entries):
            return Status("measured", "An evaluation without training.")
        if not self.config:
            return Status("failed", "The run ended before it began: it has no config.yaml.")
        resume = "`--ckpt_path last` (make train … RESUME=1) resumes it"
        return Status("stopped", f"The run was stopped or killed: {self._stage(done)}{of}. {resume}.")

    def _failure(self) -> str | None:
        if error := read_failure(self.folder):
            return error
        built = {number: progress for number, progress in self.built.items() if progress and progress.complete}
        empty = [number for number, progress in built.items() if not progress.pairs]
        return f"round {empty[0]} has no pair to learn from." if empty else None

    def _stage(self, done: int) -> str:
        """Where the run is, by what is there of the round behind the last one that was finished."""
        progress = self.built.get(done + 1)
        if done + 1 not in self.built:
            return f"round {done + 1} is about to begin" if self.entries else "before its first round"
        if progress is None or not progress.complete:
            clips = f", {progress.clips} of {self.clip_count or '?'} clips" if progress else ""
            return f"building the pairs of round {done + 1}{clips}"
        return f"training on the pairs of round {done + 1}"


def committed(folder: Path, round: int) -> tuple[int, int]:
    """How many bytes of a round's pairs and of its traces count. round: from 1."""
    pairs, traces, progress = round_paths(folder, round - 1)
    try:
        found = read_progress(progress)
        return found.pairs_bytes, found.traces_bytes
    except SaviError:
        sizes = [path.stat().st_size if path.is_file() else 0 for path in (pairs, traces)]
        return sizes[0], sizes[1]


def newest_run(runs: Path) -> Path:
    """The run below `runs` that was written to last. Raises SaviError if there is none."""
    found = [path for path in runs.glob("*/version_*") if any((path / mark).exists() for mark in MARKS)]
    if not found:
        raise SaviError(f"view: there is no run in {runs}; name one, or train one (savi fit)")
    return max(found, key=lambda path: max((file.stat().st_mtime for file in _files(path)), default=0.0))


def _files(folder: Path) -> Iterator[Path]:
    return (path for pattern in LOOKED_AT for path in folder.glob(pattern))
