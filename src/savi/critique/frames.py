"""Frames for the batches of clips whose pairs a process makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from savi.critique.clip_files import ClipFiles
from savi.types import Clip, Frames
from savi.video.decode import UndecodableClip
from savi.video.feeding import Decode, Source, feed

Batch = Sequence[Clip]


def frames_ahead(
    batches: Sequence[Batch], is_cached: Callable[[Clip], bool], decode: Decode, files: ClipFiles
) -> Iterator[tuple[Batch, Mapping[Clip, Frames | None], Mapping[Clip, str]]]:
    """Each batch, the frames of its clips (None where they aren't needed), and why the other clips have none.

    They are decoded ahead, except those that could not be decoded before.
    """

    def source(clip: Clip) -> Source:
        return files.failure(clip) or (None if is_cached(clip) else clip.path)

    for batch, outcomes in feed(((batch, [*map(source, batch)]) for batch in batches), decode):
        found = dict(zip(batch, outcomes, strict=True))
        good = {clip: one for clip, one in found.items() if not isinstance(one, UndecodableClip)}
        yield batch, good, {clip: one.reason for clip, one in found.items() if isinstance(one, UndecodableClip)}
