"""Runs the readiness check before the first round, on clips to learn from and on labelled ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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
    for batch, frames in _batches(data, clips[:REHEARSED]):
        rehearsals += rehearse(chain, batch, frames)
    examined: list[Examination] = []
    for batch, frames in _batches(data, list(dict.fromkeys(one.clip for one in data.labelled))):
        examined += examine(chain, batch, frames, [one for one in data.labelled if one.clip in batch])
    return summarise(rehearsals, examined)


def _batches(data: ClipDataModule, clips: Sequence[Clip]) -> Iterator[tuple[list[Clip], list[Frames]]]:
    """Clips with their frames, without those that can't be decoded."""
    for batch in chunks(clips, data.clips_per_chain):
        paths = [clip.path for clip in batch]
        decoded = decode_ahead(paths, data.frames, data.decode_timeout, data.workers, data.frame_pixels)
        good = [(clip, f) for clip, f in zip(batch, decoded, strict=True) if not isinstance(f, UndecodableClip)]
        if good:
            yield [clip for clip, _ in good], [frames for _, frames in good]
