"""Renders the clips of the world for the processes of a run, which share the work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from savi.distributed.sharding import shard
from savi.world.clips import clip

RENDERED = 8
"""Clips that a process renders between two meetings."""


@dataclass(frozen=True)
class WorldClips:
    """The first `count` clips of one split of the world, in a folder."""

    split: str
    folder: Path
    seed: int
    count: int


def render(wanted: Sequence[WorldClips], rank: int, processes: int, meet: Callable[[], None]) -> None:
    """Render what is missing, this process its share.

    meet: called by all processes equally often, after every few clips, so that none waits long for another.
    """
    clips = [(one.split, one.folder, one.seed, index) for one in wanted for index in range(one.count)]
    for start in range(0, len(clips), RENDERED * processes):
        for one in shard(clips[start : start + RENDERED * processes], rank, processes):
            clip(*one)
        meet()
