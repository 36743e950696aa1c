"""The two parts of the campaign, each resumable: what a journal says is done isn't done again."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from tools.faults.cases import KINDS, TURNS, Kind, draw_case
from tools.faults.disks import can_mount
from tools.faults.feed import CRASHED, feed_all
from tools.faults.journal import append, records
from tools.faults.runs import Player, Reference, compare_normal_start, make_reference, read_reference
from tools.faults.start import adopt_orphans, prepare
from tools.faults.videos import make_bases, make_foreign

ROOT = Path(__file__).resolve().parents[2]
CHUNK = 250
"""Videos that one process feeds to the decoder: a process that crashes costs no more than its own start."""
RUN_SOURCES = ("src/savi/**/*.py", "src/savi/**/*.yaml", "experiments/*.yaml", "tools/faults/*.py")
VIDEO_SOURCES = ("src/savi/video/*.py", *(f"tools/faults/{name}.py" for name in ("feed", "fields", "mutate", "videos")))
"""What the results depend on."""
Left = Callable[[], bool]
"""Whether time is left."""


class Campaign:
    """A campaign of one seed on one state of the sources: others are kept apart, in folders of their own."""

    def __init__(self, work: Path, seed: int, jobs: int, left: Left) -> None:
        self.video_folder = work / f"videos_{digest(*VIDEO_SOURCES)}_{seed}"
        self.run_folder = work / f"runs_{digest(*RUN_SOURCES)}_{seed}"
        for folder in (self.video_folder, self.run_folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._shared = work
        self._seed = seed
        self._jobs = jobs
        self._left = left

    # Videos

    def videos(self) -> list[dict[str, Any]]:
        """What became of the videos so far."""
        return records(self.video_folder / "videos.jsonl")

    def peaks(self) -> list[int]:
        """Peaks of the memory of decoding processes, in bytes, those that have crashed included."""
        return [record["peak"] for record in records(self.video_folder / "peaks.jsonl")]

    def feed(self, count: int) -> None:
        """Feed the first `count` damaged videos to the decoder."""
        done = {record["index"] for record in self.videos()}
        todo = [index for index in range(count) if index not in done]
        bases, foreign = make_bases(self._shared / "bases"), make_foreign(self._shared / "foreign")
        chunks = [todo[at : at + CHUNK] for at in range(0, len(todo), CHUNK)]
        running: list[tuple[Any, list[int]]] = []
        context = multiprocessing.get_context("spawn")
        while chunks or running:
            while chunks and len(running) < self._jobs and self._left():
                chunk = chunks.pop(0)
                scratch = self.video_folder / f"mutants_{chunk[0]}"
                process = context.Process(
                    target=feed_all, args=(self._seed, chunk, bases, foreign, scratch, self.video_folder)
                )
                process.start()
                running.append((process, chunk))
            for process, chunk in list(running):
                process.join(0.1)
                if process.exitcode is not None:
                    running.remove((process, chunk))
                    chunks += self._rest(chunk, process.exitcode)
            if not self._left() and not running:
                return

    def _rest(self, chunk: list[int], code: int) -> list[list[int]]:
        """What a process that fed a chunk has left undone, of which the first crashed it and the others come anew."""
        if not code:
            return []
        done = {record["index"] for record in self.videos()}
        crashed, *rest = [index for index in chunk if index not in done]
        append(self.video_folder / "videos.jsonl", CRASHED | {"index": crashed, "defect": f"crash: exit code {code}"})
        return [rest] if rest else []

    # Runs

    def cases(self) -> list[dict[str, Any]]:
        """What became of the runs so far."""
        return records(self.run_folder / "cases.jsonl")

    def kill(self, count: int, normal: bool) -> None:
        """Play cases until `count` kills came in time. normal: compare a normal start of savi with a forked one too."""
        if self._killed() >= count:
            return
        prepare()
        cache = self._shared / "cache"
        one = self._reference("reference", cache, 1)
        references: dict[Kind, Reference] = dict.fromkeys(KINDS, one)
        references["two processes"] = self._reference("reference_two", cache, 2)
        references["validate"] = self._reference("reference_validate", cache, 1, one.run)
        if normal and not (self.run_folder / "normal.json").exists():
            found = compare_normal_start(self.run_folder / "normal", cache, one)
            (self.run_folder / "normal.json").write_text(json.dumps(found))
        player = Player(self.run_folder, cache, references)
        mounts = can_mount(self.run_folder / "disk")
        children = [self._fork(partial(self._play, player, job, count, mounts)) for job in range(self._jobs)]
        failed = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        if any(failed):
            raise RuntimeError(f"a process that plays cases ended with {failed}")

    def _play(self, player: Player, job: int, count: int, mounts: bool) -> None:
        adopt_orphans()
        done = {record["index"] for record in self.cases()}
        index = job
        while self._left() and self._killed() < count:
            if index not in done and (mounts or TURNS[index % len(TURNS)] != "full disk"):
                append(self.run_folder / "cases.jsonl", asdict(player.play(draw_case(self._seed, index))))
            index += self._jobs

    def _killed(self) -> int:
        return sum(len(record["kills"]) for record in self.cases())

    def _reference(self, name: str, cache: Path, processes: int, evaluated: Path | None = None) -> Reference:
        folder = self.run_folder / name
        mark = folder / "seconds"
        if mark.exists():
            return read_reference(folder, float(mark.read_text()))
        reference = make_reference(folder, cache, processes, evaluated)
        mark.write_text(f"{reference.seconds}")
        return reference

    @staticmethod
    def _fork(task: Callable[[], None]) -> int:
        """A fork of this process, which keeps what has been imported."""
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            task()
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)


def digest(*sources: str) -> str:
    """Tells one state of the sources from another. sources: patterns, from the root of the project."""
    found = hashlib.blake2b(digest_size=4)
    for path in sorted(path for pattern in sources for path in ROOT.glob(pattern)):
        found.update(path.read_bytes())
    return found.hexdigest()


def deadline(hours: float) -> Left:
    """Whether the time isn't up."""
    end = time.monotonic() + 3600 * hours
    return lambda: time.monotonic() < end
