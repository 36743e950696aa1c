"""Frames for the batches of clips that a process takes through the chain."""

from __future__ import annotations

from collections.abc import Sequence

from savi.critique.chain import CritiqueChain
from savi.data.datamodule import ClipDataModule
from savi.distributed.collectives import own_shard
from savi.types import Clip, Frames
from savi.video.decode import UndecodableClip
from savi.video.prefetch import decode_ahead


class FramesAhead:
    """Decodes the clips of this process's batches ahead of their use, in the order of the batches.

    Clips that model and critic have cached are left out.
    """

    def __init__(self, chain: CritiqueChain, data: ClipDataModule, batches: Sequence[Sequence[Clip]]) -> None:
        clips = [clip for batch in own_shard(batches) for clip in batch]
        self._missing = {clip for clip in clips if not (chain.model.is_cached(clip) and chain.critic.is_cached(clip))}
        paths = [clip.path for clip in clips if clip in self._missing]
        self._decoded = decode_ahead(paths, data.frames, data.decode_timeout, data.workers, data.max_pixels)

    def __call__(self, batch: Sequence[Clip]) -> list[Frames | UndecodableClip | None]:
        """The frames of the next batch, (clips,): None for a clip that isn't needed."""
        return [next(self._decoded) if clip in self._missing else None for clip in batch]
