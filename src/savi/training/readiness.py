"""Runs the readiness check before the first round, on clips to learn from and on labelled ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lightning.pytorch.utilities import rank_zero_info

from savi.critique.chain import CritiqueChain
from savi.critique.readiness import Examination, Readiness, Rehearsal, examine, rehearse, summarise
from savi.data.batches import chunks
from savi.data.datamodule import ClipDataModule
from savi.types import Clip, Frames
from savi.video.decode import UndecodableClip
from savi.video.prefetch import decode_ahead

REHEARSED = 32
"""Clips of those to learn from that the check takes."""


def check_readiness(chain: CritiqueChain, data: ClipDataModule, clips: Sequence[Clip]) -> Readiness:
    """Measure the model's criticism on the first clips, and on the labelled questions where there are any."""
    rehearsals: list[Rehearsal] = []
    for batch, frames in _batches(chain, data, clips[:REHEARSED]):
        rehearsals += rehearse(chain, batch, frames)
    examined: list[Examination] = []
    for batch, frames in _batches(chain, data, list(dict.fromkeys(one.clip for one in data.labelled))):
        examined += examine(chain, batch, frames, [one for one in data.labelled if one.clip in batch])
    return summarise(rehearsals, examined)


def _batches(
    chain: CritiqueChain, data: ClipDataModule, clips: Sequence[Clip]
) -> Iterator[tuple[list[Clip], list[Frames | None]]]:
    """Clips with their frames, None where they aren't needed; without those that can't be decoded."""
    for batch in chunks(clips, data.clips_per_chain):
        missing = [clip for clip in batch if not (chain.model.is_kept(clip) and chain.critic.is_kept(clip))]
        paths = [clip.path for clip in missing]
        decoded = decode_ahead(paths, data.frames, data.decode_timeout, data.workers, data.frame_pixels)
        frames = dict(zip(missing, decoded, strict=True))
        broken = {clip: read.reason for clip, read in frames.items() if isinstance(read, UndecodableClip)}
        for clip, reason in broken.items():
            rank_zero_info(f"Readiness is measured without {clip.path}: {reason}")
        if good := [clip for clip in batch if clip not in broken]:
            yield good, [read if isinstance(read := frames.get(clip), Frames) else None for clip in good]
