"""Frames for the batches of clips whose pairs a process makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from savi.critique.clip_files import ClipFiles
from savi.distributed.collectives import own_shard
from savi.types import Clip, Frames
from savi.video.decode import UndecodableClip

Decode = Callable[[Iterable[Path]], Iterator[Frames | UndecodableClip]]
"""Decodes files ahead of their use: every file's frames in their order, or why it has none."""


class FramesAhead:
    """Decodes the clips of this process's batches ahead of their use, in the order of the batches.

    Clips whose frames nobody needs are left out, and those that could not be decoded before.
    """

    def __init__(
        self,
        is_cached: Callable[[Clip], bool],
        decode: Decode,
        batches: Sequence[Sequence[Clip]],
        files: ClipFiles,
    ) -> None:
        clips = [clip for batch in own_shard(batches) for clip in batch]
        cached = {clip for clip in clips if is_cached(clip)}
        self._failed = {clip: failure for clip in clips if clip not in cached and (failure := files.failure(clip))}
        missing = [clip for clip in clips if clip not in cached and clip not in self._failed]
        self._missing = set(missing)
        self._decoded = decode(clip.path for clip in missing)

    def __call__(self, batch: Sequence[Clip]) -> tuple[dict[Clip, Frames | None], dict[Clip, str]]:
        """The frames of the next batch's clips, None where they aren't needed, and why the other clips have none."""
        frames = {clip: next(self._decoded) if clip in self._missing else self._failed.get(clip) for clip in batch}
        good = {clip: one for clip, one in frames.items() if not isinstance(one, UndecodableClip)}
        return good, {clip: one.reason for clip, one in frames.items() if isinstance(one, UndecodableClip)}
