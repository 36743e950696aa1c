"""Feeds damaged video files to savi's decoder, its real worker process included, and writes down what became of each.

Mutant i is drawn from (seed, i) alone, so that any of them can be made again with `draw_mutant`.
"""

from __future__ import annotations

import contextlib
import math
import resource
import shutil
import signal
import time
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from random import Random

from savi.types import Excerpt, Frames
from savi.video.decode import UndecodableClip
from savi.video.process import DecodeProcess
from savi.video.worker import GRACE, MEMORY
from tools.faults.journal import append
from tools.faults.mutate import MUTATIONS
from tools.faults.videos import EXTENSIONS

COUNTS = (1, 4, 8, 32)
"""Frames asked for."""
SPANS = (None, None, None, (0.0, 0.3), (0.4, 2.0), (5.0, 1e9))
"""Parts that are asked for, in seconds; None for the whole file."""
TIMEOUT = 30.0
"""Seconds for one file."""
SLACK = 10.0
"""Seconds that a busy machine may take on top of the time limit, before a file counts as one that hangs."""
LARGE = 100_000
"""Bytes of a base that is drawn more rarely."""
ACCEPTED, REFUSED, KILLED = "accepted", "refused", "worker ended"


CRASHED = {"base": "", "kind": "any", "outcome": "", "reason": "", "seconds": 0.0, "memory": 0}
"""What is written of a mutant that ended the process that fed it."""


class Hang(BaseException):
    """The decoder didn't come back within its own limit."""


@dataclass(frozen=True)
class Mutant:
    """A damaged file. expected: whether it must be accepted (True), refused (False), or either (None).

    span: seconds, the part that is asked for; None for the whole file.
    """

    index: int
    base: str
    kind: str
    extension: str
    count: int
    data: bytes
    span: tuple[float, float] | None = None
    expected: bool | None = None


@dataclass(frozen=True)
class Fed:
    """What became of a mutant. outcome: accepted, refused or worker ended. defect: "" where all is as promised.

    memory: bytes that the decoding process had at its peak, as far as it still lives.
    """

    index: int
    base: str
    kind: str
    outcome: str
    reason: str
    defect: str
    seconds: float
    memory: int


def draw_mutant(seed: int, index: int, bases: list[Path], foreign: list[Path]) -> Mutant:
    """The mutant of a number. Each kind of damage comes in its turn; the rest is drawn."""
    draw = Random(f"{seed}/{index}")
    kinds = [*MUTATIONS, "lying extension"]
    kind = kinds[index % len(kinds)]
    count = draw.choice(COUNTS)
    if kind == "lying extension":
        return _lying(index, draw, bases, foreign, count)
    base = _draw_base(draw, bases)
    data = base.read_bytes()
    span = draw.choice(SPANS)
    return Mutant(index, base.name, kind, base.suffix, count, MUTATIONS[kind](data, draw), span)


def _lying(index: int, draw: Random, bases: list[Path], foreign: list[Path], count: int) -> Mutant:
    """A file under another kind's extension: a video that must decode all the same, another file, or a damaged one."""
    extension = draw.choice(EXTENSIONS)
    which = draw.choice(("whole", "foreign", "damaged"))
    base = draw.choice(foreign) if which == "foreign" else _draw_base(draw, bases)
    data = base.read_bytes()
    if which == "damaged":
        data = MUTATIONS[draw.choice(list(MUTATIONS))](data, draw)
    expected = {"whole": True, "foreign": False, "damaged": None}[which]
    return Mutant(index, base.name, "lying extension", extension, count, data, None, expected)


def _draw_base(draw: Random, bases: list[Path]) -> Path:
    """A base. A large one is drawn more rarely, since it takes a second to decode."""
    return draw.choices(bases, [0.25 if base.stat().st_size > LARGE else 1.0 for base in bases])[0]


def check(frames: Frames, count: int) -> str:
    """What is wrong with the frames of an accepted file; "" for nothing."""
    times, indices = frames.timestamps, frames.indices
    if frames.pixels.shape[0] != count or len(times) != count or len(indices) != count:
        return f"{tuple(frames.pixels.shape)} pixels, {len(times)} times and {len(indices)} indices for {count} frames"
    if min(frames.pixels.shape) < 1 or frames.pixels.shape[-1] != 3:
        return f"a shape of {tuple(frames.pixels.shape)}"
    if not all(math.isfinite(value) for value in (*times, frames.fps, frames.duration)):
        return "a time that is not finite"
    if frames.fps <= 0 or frames.duration <= 0 or min(times) < 0 or min(indices) < 0:
        return "a negative time, rate or index"
    if any(a > b for a, b in pairwise(indices)):
        return "indices that fall"
    steps = zip(pairwise(indices), pairwise(times), strict=True)
    if any((a == b) != (s == t) or s > t for (a, b), (s, t) in steps):
        return "times that don't rise with the indices"
    if max(times) > frames.duration:
        return "a time after the end"
    return ""


def feed(mutant: Mutant, process: DecodeProcess, folder: Path) -> Fed:
    """Decode one mutant. What goes wrong in this process becomes a defect, not an exception."""
    path = folder / f"mutant{mutant.extension}"
    path.write_bytes(mutant.data)
    outcome, reason, defect = REFUSED, "", ""
    started = time.monotonic()
    signal.signal(signal.SIGALRM, _hang)
    signal.setitimer(signal.ITIMER_REAL, TIMEOUT + GRACE + SLACK)
    try:
        forget_peak(process.pid)
        process.submit(Excerpt("", path, mutant.span) if mutant.span else path, mutant.count, TIMEOUT)
        result = process.collect()
        if isinstance(result, UndecodableClip):
            reason = result.reason
        else:
            outcome, defect = ACCEPTED, check(result, mutant.count)
    except Hang:
        defect = "hang"
    except Exception as error:
        defect = f"crash: {type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    seconds = time.monotonic() - started
    if defect.startswith(("hang", "crash")):
        process.kill()
    if reason.startswith(("the decoder crashed", "took longer")):
        outcome = KILLED
    if not defect and mutant.expected is not None and mutant.expected != (outcome == ACCEPTED):
        defect = f"{outcome}, though its content is {'whole' if mutant.expected else 'no video'}"
    memory = peak_memory(process.pid)
    if memory > MEMORY:
        defect = defect or f"{memory / 2**20:.0f} MiB of memory"
    return Fed(mutant.index, mutant.base, mutant.kind, outcome, reason, defect, round(seconds, 3), memory)


def feed_all(seed: int, indices: list[int], bases: list[Path], foreign: list[Path], scratch: Path, log: Path) -> None:
    """Feed mutants to the decoder, a line in the journals of `log` for each. A process of its own runs this."""
    scratch.mkdir(parents=True, exist_ok=True)
    process = DecodeProcess()
    for index in indices:
        fed = feed(draw_mutant(seed, index, bases, foreign), process, scratch)
        append(log / "videos.jsonl", asdict(fed))
    process.kill()
    # Of all decoding processes that this one has had, those that crashed too.
    append(log / "peaks.jsonl", {"peak": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024})
    shutil.rmtree(scratch)


def forget_peak(pid: int) -> None:
    """Let the peak of a process's memory start from what it has now (Linux)."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_memory(pid: int) -> int:
    """Bytes that a process has had in memory at its peak (Linux); 0 where it is gone or the system doesn't tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return int(lines.get("VmHWM", "0").split()[0]) * 1024


def _hang(*_: object) -> None:
    raise Hang
