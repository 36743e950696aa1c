"""`python -m tools.bench.refill`: what it would save if each clip took its next turn as soon as its replies end.

A turn lasts as long as its longest reply. The clips of a batch take their turns together, so it is the longest of all
of them. If each clip took its turns alone, and another one took its place at its end, a pass would read prompts more
often and tokens less often. The passes of both ways are counted here, with made-up lengths of replies, and those of a
third one: each clip takes its turns alone, and none takes a place before the whole batch is done. Each pass counts
alike, as on a GPU whose host is what a pass waits for.
"""

from __future__ import annotations

import random
from math import log

TURNS = 4
BRANCHES = 6
CLIPS = 2000
MEDIAN, SIGMA, LEAST, MOST = 35, 0.6, 10, 120
"""Of a reply's tokens: lognormal, within bounds."""


def turn_lengths(clips: int, seed: int = 0) -> list[list[int]]:
    """The longest reply of each turn of each clip, in tokens."""
    draw = random.Random(seed)
    return [
        [
            max(round(min(MOST, max(LEAST, draw.lognormvariate(log(MEDIAN), SIGMA)))) for _ in range(BRANCHES))
            for _ in range(TURNS)
        ]
        for _ in range(clips)
    ]


def passes_together(lengths: list[list[int]], at_once: int) -> int:
    """A pass that reads the prompts gives the first token of each reply, and each further one the next."""
    batches = _batches(lengths, at_once)
    return sum(max(clip[turn] for clip in batch) for batch in batches for turn in range(len(batch[0])))


def passes_apart(lengths: list[list[int]], at_once: int) -> int:
    """The clips whose next prompts are due read them in a pass of their own; the others wait for it."""
    waiting = [list(clip) for clip in reversed(lengths)]
    left: list[tuple[int, list[int]]] = []
    passes = 0
    while left or waiting:
        due = [(turns[0] - 1, turns[1:]) for tokens, turns in left if tokens == 0 and turns]
        left = [(tokens, turns) for tokens, turns in left if tokens > 0]
        while waiting and len(left) + len(due) < at_once:
            first, *others = waiting.pop()
            due.append((first - 1, others))
        passes += bool(due)
        passes += bool(left + due)
        left = [(tokens - 1, turns) for tokens, turns in left + due]
    return passes


def passes_in_batches(lengths: list[list[int]], at_once: int) -> int:
    """The same where no clip takes a place before the whole batch is done."""
    return sum(passes_apart(batch, at_once) for batch in _batches(lengths, at_once))


def _batches(lengths: list[list[int]], at_once: int) -> list[list[list[int]]]:
    return [lengths[start : start + at_once] for start in range(0, len(lengths), at_once)]


def main() -> None:
    lengths = turn_lengths(CLIPS)
    for at_once in (2, 4, 8, 16):
        together = passes_together(lengths, at_once)
        print(f"{at_once} clips at once: {together / CLIPS:.0f} passes per clip together", end="")
        for name, count in (("in batches", passes_in_batches), ("refilled", passes_apart)):
            apart = count(lengths, at_once)
            print(f"; apart, {name}, {apart / CLIPS:.0f}, {together / apart:.2f} times fewer", end="")
        print()


if __name__ == "__main__":
    main()
