"""How a round grows with its clips: CPU time a clip and memory, without a model.

    python -m tools.bench.growth 1000 10000

A scripted maker takes the place of the model: six pairs a clip, with texts as long as real ones. All else is a round's
own: the store, its end, the plan of the steps, and the reading of one process's share of eight. Each size has a process
of its own, whose peak of memory is the kernel's.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from savi.critique.builder import PairBuilder
from savi.critique.clip_results import ClipResult
from savi.data.batches import OptimizerStep, StepDataset, group_by_clip, plan_steps
from savi.data.reading import FrameReader
from savi.types import ASPECTS, Clip, Frames, PreferencePair, Trace, Turn, TurnName

QUESTIONS = 6
PROCESSES = 8
BATCH_CLIPS = 8
QUESTION = "What does the person in the red jacket do after the second car has left the yard? " * 2
REPLY = "The person walks to the gate, closes it, looks back once, and then goes into the house on the left. " * 4
TURNS: tuple[TurnName, ...] = ("question", "answer", "critique", "revision")


class Script:
    """Gives every clip six pairs (implements :class:`savi.critique.builder.PairMaker`)."""

    round = 0

    def is_cached(self, clip: Clip) -> bool:
        return True

    def run(self, clips: Sequence[Clip], frames: Sequence[Frames | None]) -> list[ClipResult]:
        return [_result(clip) for clip in clips]


def _result(clip: Clip) -> ClipResult:
    pairs, traces = [], []
    for index in range(QUESTIONS):
        question, aspect = f"{clip.id} {index}: {QUESTION}", ASPECTS[index % len(ASPECTS)]
        turns = tuple(Turn(name, QUESTION, REPLY, index, -90.0, True) for name in TURNS)
        traces.append(Trace(clip.id, 0, aspect, question, turns, "pair"))
        pairs.append(
            PreferencePair(
                clip=clip.id,
                video=str(clip.path),
                round=0,
                aspect=aspect,
                question=question,
                prompt=question,
                chosen=REPLY,
                rejected=REPLY[::-1],
                critique=REPLY,
                reference_chosen_logp=-90.0,
                reference_rejected_logp=-95.0,
                seed=index,
                prompt_version="growth",
            )
        )
    return ClipResult(clip, tuple(pairs), tuple(traces))


def measure(count: int, folder: Path) -> list[float]:
    """CPU microseconds a clip of each part; then the peak of memory in MiB above that at the start."""
    start = _peak()
    clips = [Clip(f"clip_{index:06d}", folder / f"clip_{index:06d}.mp4") for index in range(count)]
    marks = [time.process_time()]
    builder = PairBuilder(Script(), iter, clips, BATCH_CLIPS, folder, "growth")
    sum(builder.build())
    marks.append(time.process_time())
    built = builder.close()
    marks.append(time.process_time())
    steps = plan_steps(group_by_clip(built.pairs, built.by_clip, clips), 32, 1, seed=0)
    marks.append(time.process_time())
    share = StepDataset(steps, 8, FrameReader(32, 60.0, lambda _: True), 0, PROCESSES, built.contents)
    read = sum(map(_pairs, map(share.__getitem__, range(len(share)))))
    marks.append(time.process_time())
    if not 0 < read < len(built.pairs):
        raise RuntimeError(f"a share has {read} of {len(built.pairs)} pairs")
    return [*(1e6 * (end - begin) / count for begin, end in pairwise(marks)), _peak() - start]


def _pairs(step: OptimizerStep) -> int:
    return sum(len(pairs) for micro in step.micro_batches for pairs in micro.pairs)


def _peak() -> float:
    """MiB of this process at its peak so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(counts: Sequence[str]) -> None:
    print("| clips | build, µs a clip | close | plan | read a share | peak above the start, MiB | KiB a clip |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for count in map(int, counts):
        with TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "tools.bench.growth", "--one", str(count), folder]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        *parts, peak = map(float, done.stdout.split())
        cells = [f"{count:,}", *(f"{part:,.0f}" for part in parts), f"{peak:,.0f}", f"{1024 * peak / count:.1f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(*measure(int(sys.argv[2]), Path(sys.argv[3])))
    else:
        main(sys.argv[1:])
