"""Plays a case: starts a small run, kills it as the case says, resumes it until it ends, and compares it."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from tools.faults.cases import Case, Kill, Kind
from tools.faults.compare import differences
from tools.faults.disks import resize, small_disk, unmount
from tools.faults.start import Started, one_core, wait_for_orphans
from tools.faults.watch import ends_of_rounds, wait_for

EXPERIMENT = Path(__file__).resolve().parents[2] / "experiments" / "demo.yaml"
SMALL = (
    "--data.clip_count=4",
    "--data.benchmark_clips=2",
    "--data.micro_batch_clips=2",
    "--data.pairs_per_step=1",
    "--trainer.max_epochs=2",
    "--trainer.enable_progress_bar=false",
    "--model.chain.questions_per_aspect=1",
    "--model.chain.question_replies=1",
    "--model.lora.dropout=0.05",  # so that the random draws are compared too
)
"""The demo in small: two batches of clips and two steps or three a round, two rounds, a few seconds."""
TWO = ("--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.strategy=ddp")

HANG = 300.0
"""Seconds that one start may take on a busy machine."""
PROMISED_END = 30.0
"""Seconds after the death of one process within which the others end."""
SLACK = 15.0
"""Seconds that a busy machine may take on top."""
LEAST_ROOM = 2**18
"""Bytes of the smallest disk."""
LARGEST_FILE = 2**20
"""Bytes of the run's largest file, a checkpoint, at most."""
MISTAKE = 2
"""Exit code where one line says what is wrong."""


@dataclass(frozen=True)
class Reference:
    """An undisturbed run.

    seconds: how long it took. size: bytes of its folder. ends: how many steps there were at the end of each round.
    """

    run: Path
    seconds: float
    size: int
    ends: tuple[int, ...]


@dataclass
class Played:
    """What became of a case.

    kills: the phases of those that came before the run's end. stops: ends for want of room. longest_end: most seconds
    that other processes of a run lived on after a kill.
    """

    index: int
    kind: str
    kills: list[str] = field(default_factory=list)
    stops: int = 0
    longest_end: float = 0.0
    differences: list[str] = field(default_factory=list)
    seconds: float = 0.0


def make_reference(folder: Path, cache: Path, processes: int, evaluated: Path | None = None) -> Reference:
    """An undisturbed run in forks of this process. evaluated: a finished run, of which a copy is evaluated instead.

    Raises RuntimeError where it doesn't end well.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    arguments = _arguments(folder / "runs", cache, processes)
    if evaluated:
        shutil.copytree(evaluated, folder / "runs" / "demo" / "version_0")
        arguments = _evaluating(arguments)
    began = time.monotonic()
    started = Started(arguments, folder, folder / "log", processes)
    if started.wait(HANG) == inf or set(started.codes.values()) != {0}:
        raise RuntimeError(f"the undisturbed run failed: {folder / 'log'}")
    return read_reference(folder, time.monotonic() - began)


def read_reference(folder: Path, seconds: float) -> Reference:
    """The reference that has been made in a folder."""
    run = folder / "runs" / "demo" / "version_0"
    size = sum(path.stat().st_size for path in run.rglob("*") if path.is_file())
    return Reference(run, seconds, size, ends_of_rounds(run))


def compare_normal_start(folder: Path, cache: Path, reference: Reference) -> list[str]:
    """How the reference differs from a run that is started as users do, by the command in a new interpreter."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "savi.cli", *_arguments(folder / "runs", cache, 1)]
    done = subprocess.run(command, env=one_core(), capture_output=True, text=True, timeout=HANG, check=False)
    if done.returncode:
        return [f"a normal start ends with {done.returncode}: {done.stderr[-300:]}"]
    return differences(reference.run, folder / "runs" / "demo" / "version_0")


class Player:
    """Plays cases in a folder of its own. references: for each kind of run, what it should come to."""

    def __init__(self, folder: Path, cache: Path, references: Mapping[Kind, Reference]) -> None:
        self._folder = folder
        self._cache = cache
        self._references = references

    def play(self, case: Case) -> Played:
        """Play a case. Its folder stays where there are differences."""
        began = time.monotonic()
        played = Played(case.index, case.kind)
        folder = self._folder / f"case_{case.index}"
        if (folder / "runs").is_mount():  # of a campaign that was killed
            unmount(folder / "runs")
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "tmp").mkdir(parents=True)
        if case.kind == "validate":
            shutil.copytree(self._references["one process"].run, folder / "runs" / "demo" / "version_0")
        with self._disk(case, folder):
            _Playing(case, folder, self._cache, self._references[case.kind], played).play()
        if not played.differences:
            shutil.rmtree(folder)
        played.seconds = round(time.monotonic() - began, 1)
        return played

    @contextmanager
    def _disk(self, case: Case, folder: Path) -> Iterator[None]:
        if case.kind != "full disk":
            yield
            return
        with small_disk(folder / "runs", LEAST_ROOM + int(case.room * self._references[case.kind].size)):
            yield
            shutil.copytree(folder / "runs", folder / "copy")


class _Playing:
    """One case, while it is played."""

    def __init__(self, case: Case, folder: Path, cache: Path, reference: Reference, played: Played) -> None:
        self._case = case
        self._folder = folder
        self._cache = cache
        self._reference = reference
        self._played = played
        self._runs = folder / "runs"
        self._starts = 0

    def play(self) -> None:
        if self._case.kind in ("full disk", "file size limit") and not self._without_room():
            return
        for kill in (*self._case.kills, None):
            started = self._start()
            watched = self._runs / "demo"
            if kill and wait_for(kill, watched, started.whole, self._reference.seconds, self._reference.ends):
                self._kill(kill, started)
                if self._case.kind == "moved":
                    self._move()
            elif self._ended_well(started):
                break
            else:
                return
        (run,) = self._begun()
        self._played.differences += differences(self._reference.run, run)

    def _start(self, largest_file: int | None = None) -> Started:
        """A new run, or the last one resumed where its folder is there. Moved runs are named in two ways in turn."""
        case, self._starts = self._case, self._starts + 1
        relative = case.kind == "moved" and self._starts % 2
        runs = self._runs.relative_to(self._folder) if relative else self._runs
        arguments = [*_arguments(runs, self._cache, case.processes), *case.options]
        if case.kind == "validate":
            arguments = _evaluating(arguments)
        elif self._begun():
            arguments.append("--ckpt_path=last")
        return Started(arguments, self._folder, self._log, case.processes, largest_file)

    @property
    def _log(self) -> Path:
        return self._folder / f"start_{self._starts}.log"

    def _begun(self) -> list[Path]:
        """Folders of runs that can be resumed: a start that is killed before it writes its settings has begun none."""
        return [path.parent for path in (self._runs / "demo").glob("version_*/config.yaml")]

    def _kill(self, kill: Kill, started: Started) -> None:
        started.kill(kill.ranks)
        self._played.kills.append(kill.phase)
        seconds = started.wait(PROMISED_END + SLACK)
        if seconds == inf:
            self._fail(f"rank {1 - kill.ranks[0]} lives on after rank {kill.ranks[0]} was killed")
        left = wait_for_orphans(PROMISED_END + SLACK)
        if left == inf:
            self._fail("a process that a killed one has started lives on")
        self._played.longest_end = max(self._played.longest_end, round(seconds + left, 1))

    def _move(self) -> None:
        """Give the folder of all runs another name, or copy it, which makes new files."""
        target = self._folder / f"moved_{self._starts}"
        if not self._runs.exists():
            return
        if self._starts % 2:
            self._runs.rename(target)
        else:
            shutil.copytree(self._runs, target)
            shutil.rmtree(self._runs)
        self._runs = target

    def _without_room(self) -> bool:
        """A start that hasn't the room it needs, then room. Whether it ended as promised."""
        limited = self._case.kind == "file size limit"
        limit = LEAST_ROOM + int(self._case.room * (LARGEST_FILE - LEAST_ROOM)) if limited else None
        started = self._start(limit)
        if started.wait(HANG) == inf:
            return self._fail("the start without room hangs")
        code = started.codes[0]
        if code:
            self._played.stops += 1
            if code != MISTAKE or "Traceback" in self._log.read_text(errors="replace"):
                self._fail(f"the start without room ends with {code} and no single line")
        if not limited:
            resize(self._runs, 4 * self._reference.size + 2**24)
        return True

    def _ended_well(self, started: Started) -> bool:
        if started.wait(HANG) == inf:
            return self._fail("hangs")
        if set(started.codes.values()) != {0}:
            return self._fail(f"ends with {sorted(started.codes.values())}")
        return True

    def _fail(self, what: str) -> bool:
        self._played.differences.append(f"start {self._starts}: {what}")
        return False


def _arguments(runs: Path, cache: Path, processes: int) -> list[str]:
    several = TWO if processes > 1 else ()
    return ["fit", f"--config={EXPERIMENT}", f"--runs={runs}", f"--data.cache={cache}", *SMALL, *several]


def _evaluating(arguments: list[str]) -> list[str]:
    return ["validate", *arguments[1:], "--ckpt_path=last"]
