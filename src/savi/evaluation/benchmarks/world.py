"""The embedded rendered world's held-out sets: no files, and the truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from savi.evaluation.benchmarks.items import (
    LETTERS,
    Benchmark,
    Item,
    Options,
    check_letters,
    letter_prompt,
    read_lone_letter,
)
from savi.types import Clip
from savi.world.benchmark import HeldOutQuestion, HeldOutSet, held_out

SPLITS: tuple[HeldOutSet, ...] = get_args(HeldOutSet)


def load(root: Path, options: Options) -> list[Item]:
    """The items of a held-out set; what is missing of its clips is rendered into `root`."""
    split = next(name for name in SPLITS if name == options.split)
    return [_item(question) for question in held_out(root, options.clips, options.seed, split, options.wording)]


def _item(asked: HeldOutQuestion) -> Item:
    # Clips of another seed have the same file name in another folder.
    clip = Clip("/".join(asked.clip.path.parts[-2:]), asked.clip.path)
    return Item(
        asked.task,
        asked.question,
        asked.options,
        LETTERS[asked.answer],
        "world",
        asked.id,
        clip,
        letter_prompt(asked.question, asked.options),
        errors=asked.errors,
        well_formed=asked.replies,
        read=asked.read,
    )


WORLD = Benchmark(
    name="world",
    title="Rendered world",
    load=load,
    read=read_lone_letter,
    check=check_letters,
    scorer="likelihood",
    score="sum",
    free_form=True,
    rendered=True,
    splits=SPLITS,
)
