"""Runs the readiness check before the first round, on clips to learn from and on labelled ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from lightning.pytorch.utilities import rank_zero_info

from savi.critique.chain import CritiqueChain
from savi.critique.readiness import Readiness, examine, rehearse, summarise
from savi.data.batches import chunks
from savi.data.datamodule import ClipDataModule
from savi.distributed.collectives import shard_and_gather
from savi.training.frames import FramesAhead
from savi.types import Clip, Frames, readable
from savi.video.decode import UndecodableClip

T = TypeVar("T")

REHEARSED = 32
"""Clips of those to learn from that the check takes."""


def check_readiness(chain: CritiqueChain, data: ClipDataModule, clips: Sequence[Clip]) -> Readiness:
    """Measure the model's criticism on the first clips, and on the labelled questions where there are any.

    All processes have to call it: each takes its share of the batches, and all get the figures of one process.
    """
    asked = list(dict.fromkeys(one.clip for one in data.labelled))
    return summarise(
        _in_batches(chain, data, clips[:REHEARSED], partial(rehearse, chain)),
        _in_batches(
            chain,
            data,
            asked,
            lambda batch, frames: examine(chain, batch, frames, [one for one in data.labelled if one.clip in batch]),
        ),
    )


def _in_batches(
    chain: CritiqueChain,
    data: ClipDataModule,
    clips: Sequence[Clip],
    measure: Callable[[Sequence[Clip], Sequence[Frames | None]], list[T]],
) -> list[T]:
    """The measurements of all batches in their order, without the clips that can't be decoded."""
    batches = chunks(clips, data.generation_batch_clips)
    read = FramesAhead(chain, data, batches)

    def work(batch: Sequence[Clip]) -> tuple[list[T], dict[Clip, str]]:
        frames = dict(zip(batch, read(batch), strict=True))
        good = {clip: decoded for clip, decoded in frames.items() if not isinstance(decoded, UndecodableClip)}
        broken = {clip: bad.reason for clip, bad in frames.items() if isinstance(bad, UndecodableClip)}
        return measure(list(good), list(good.values())) if good else [], broken

    measured: list[T] = []
    for of_batch, broken in shard_and_gather(batches, work, "readiness"):
        measured += of_batch
        for clip, reason in broken.items():
            rank_zero_info(f"Readiness is measured without {readable(str(clip.path))}: {reason}")
    return measured
