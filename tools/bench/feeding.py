"""How well the model is fed: its share of the time, with the scheduler that savi runs.

    python -m tools.bench.feeding

The first table has real files and a model that sleeps, in one run: the seconds of a batch in the model are those that
two workers take to decode one. The second has made-up durations and no clock: several processes share 40,000 clips as
they do in a round (`savi.distributed.sharding.shard`, `savi.video.feeding.feed`, `savi.video.lookahead.Lookahead`).
"""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np

from savi.distributed.sharding import chunks, shard
from savi.video.decode import decode
from savi.video.feeding import feed
from savi.video.lookahead import Lookahead
from savi.video.prefetch import decode_ahead

BATCH = 8
WORKERS = 2
AHEAD = BATCH + WORKERS
CLIPS = 40_000
QUESTIONS = 6
TURNS = 4
TOKEN_SECONDS = 0.07
DECODE_SECONDS = 2.5
SLOW_SECONDS = 60.0
SLOW_SHARE = 1 / 500

Batch = tuple[float, Sequence[float]]
"""Seconds in the model, and those that each clip takes to decode."""


class Virtual:
    """Decodes ahead in no time but its own: sources are seconds of decoding (a :data:`savi.video.feeding.Decode`)."""

    def __init__(self, workers: int, ahead: int) -> None:
        self.now = 0.0
        self.idle = workers
        self.ahead = ahead

    def __call__(self, sources: Iterable[Any]) -> Iterator[Any]:
        lookahead: Lookahead[Any, Any] = Lookahead(sources, self.ahead, room=1)
        under_way: list[tuple[float, int, Any]] = []
        self._begin(lookahead, under_way, self.now)
        while not lookahead.exhausted:
            if not lookahead.ready:
                self.now = max(self.now, under_way[0][0])
            while under_way and under_way[0][0] <= self.now:
                end, number, source = heapq.heappop(under_way)
                self.idle += 1
                lookahead.finish(number, source)
                self._begin(lookahead, under_way, end)
            if lookahead.ready:
                source = lookahead.take()
                self._begin(lookahead, under_way, self.now)
                yield source

    def _begin(self, lookahead: Lookahead[Any, Any], under_way: list[tuple[float, int, Any]], now: float) -> None:
        while self.idle and (begun := lookahead.begin()) is not None:
            number, source = begun
            seconds = source if isinstance(source, float) else 0.0
            heapq.heappush(under_way, (now + seconds, number, source))
            self.idle -= 1


def seconds(batches: Sequence[Batch], workers: int = WORKERS, ahead: int = AHEAD) -> float:
    """Until one process is done with its batches."""
    clock = Virtual(workers, ahead)
    for in_model, _ in feed(batches, clock):
        clock.now += in_model
    return clock.now


def efficiency(batches: Sequence[Batch], processes: int, workers: int = WORKERS, ahead: int = AHEAD) -> float:
    """The share of the processes' time, until the last is done, that is spent in the model."""
    wall = max(seconds(shard(batches, rank, processes), workers, ahead) for rank in range(processes))
    return sum(in_model for in_model, _ in batches) / (processes * wall)


def round_of(clips: int, seed: int = 0) -> list[Batch]:
    """A round's batches: replies of 20 to 400 tokens, lognormal, of which the longest of a turn counts; files that
    take about 2.5 s to decode, and one of 500 that takes a minute."""
    draw = random.Random(seed)

    def turn() -> float:
        longest = max(draw.lognormvariate(4.4, 0.6) for _ in range(BATCH * QUESTIONS))
        return TOKEN_SECONDS * min(max(longest, 20), 400)

    def file() -> float:
        return SLOW_SECONDS if draw.random() < SLOW_SHARE else draw.uniform(0.6, 1.4) * DECODE_SECONDS

    return [(sum(turn() for _ in range(TURNS)), [file() for _ in part]) for part in chunks(range(clips), BATCH)]


def overlap(folder: Path, batches: int = 8) -> list[tuple[str, float]]:
    """The model's share of the time since the first batch was there, by how the files are decoded."""
    files = [_film(folder / f"{index}.mp4", index) for index in range(BATCH)]
    decode(files[0])
    started = time.monotonic()
    for _ in decode_ahead(files, workers=WORKERS, ahead=AHEAD):
        pass
    in_model = time.monotonic() - started
    ways = (
        ("no worker", partial(decode_ahead, workers=0)),
        ("2 workers, a clip each ahead", partial(decode_ahead, workers=WORKERS)),
        ("2 workers, a batch ahead", partial(decode_ahead, workers=WORKERS, ahead=AHEAD)),
    )
    return [(name, _share([files] * batches, way, in_model)) for name, way in ways]


def _share(batches: Sequence[Sequence[Path]], way: Any, in_model: float) -> float:
    started = None
    for _ in feed(enumerate(batches), way):
        started = started or time.monotonic()
        time.sleep(in_model)
    return in_model * len(batches) / (time.monotonic() - (started or 0.0))


def _film(path: Path, seed: int) -> Path:
    """Four seconds of 320 x 180."""
    still = np.random.default_rng(seed).integers(0, 256, (180, 320, 3), np.uint8)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for index in range(100):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(still, index, 1), format="rgb24")))
        output.mux(stream.encode(None))
    return path


def main() -> None:
    print("| real files | in the model |")
    print("| --- | ---: |")
    with TemporaryDirectory() as folder:
        for name, share in overlap(Path(folder)):
            print(f"| {name} | {share:.0%} |", flush=True)
    print("\n| processes | a batch ahead | a clip per worker ahead | nothing to decode |")
    print("| ---: | ---: | ---: | ---: |")
    batches = round_of(CLIPS)
    free = [(in_model, [0.0] * len(files)) for in_model, files in batches]
    for processes in (1, 8, 64, 512):
        shares = (
            efficiency(batches, processes),
            efficiency(batches, processes, ahead=WORKERS),
            efficiency(free, processes),
        )
        print(f"| {processes} | {' | '.join(f'{share:.2f}' for share in shares)} |", flush=True)


if __name__ == "__main__":
    main()
