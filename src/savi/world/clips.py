"""Clips to train on. Only pixels come out of here: neither a Clip nor its folder holds anything of the truth."""

from __future__ import annotations

from pathlib import Path

from savi.types import Clip
from savi.world.render import write_clip
from savi.world.scenes import VERSION
from savi.world.sets import scene_of


def training_clips(folder: Path, count: int, seed: int) -> list[Clip]:
    """`count` unlabelled clips in a folder of their own in `folder`. What is there already is not rendered again."""
    return [clip("train", folder, seed, index) for index in range(count)]


def clip(split: str, folder: Path, seed: int, index: int) -> Clip:
    """The clip of one scene of a split, rendered if it isn't there."""
    path = folder / f"{split}-v{VERSION}-{seed}" / f"clip_{index:05}.mp4"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(scene_of(split, seed, index), path)
    return Clip(path.stem, path)
