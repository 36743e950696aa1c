"""The frames of clips, here and now or for one batch after another."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from torch.utils.data import Dataset

from savi.types import Clip, Excerpt, Frames
from savi.video.feeding import Outcome, Source, feed
from savi.video.frame_cache import FrameCache
from savi.video.prefetch import decode_ahead

P = TypeVar("P")
B = TypeVar("B")


class FrameReader:
    """Decodes the clips that the model hasn't cached.

    timeout: seconds of CPU time of a file. workers: processes that decode ahead. ahead: clips that they may be ahead.
    cache: keeps decoded frames on disk. prepare: what the workers' threads do with frames besides.
    """

    def __init__(
        self,
        frames: int,
        timeout: float,
        is_cached: Callable[[Clip], bool],
        most_pixels: int | None = None,
        workers: int = 0,
        ahead: int | None = None,
        cache: FrameCache | None = None,
        prepare: Callable[[Frames], Frames] | None = None,
    ) -> None:
        self.frames = frames
        self.timeout = timeout
        self.is_cached = is_cached
        self.most_pixels = most_pixels
        self.workers = workers
        self.clips_ahead = ahead
        self.cache = cache
        self.prepare = prepare

    def __call__(self, clips: Sequence[Clip]) -> tuple[Outcome, ...]:
        """The frames of some clips, here and now."""
        return tuple(self._decode(map(self.source, clips), 0))

    def source(self, clip: Clip) -> Source:
        """What to decode of a clip. It is asked once for each use: another run may put a clip into the same folder."""
        if self.is_cached(clip):
            return None
        return clip if isinstance(clip, Excerpt) else clip.path

    def ahead(self, sources: Iterable[Any]) -> Iterator[Any]:
        """The outcomes of sources in their order, see :data:`savi.video.feeding.Decode`."""
        return self._decode(sources, self.workers)

    def _decode(self, sources: Iterable[Any], workers: int) -> Iterator[Any]:
        asked = self.frames, self.timeout, workers, self.most_pixels, self.clips_ahead
        return decode_ahead(sources, *asked, self.cache, self.prepare)


class FedDataset(Dataset[B], ABC, Generic[P, B]):
    """Batches of clips with their frames, which are decoded over the borders of batches as long as they are taken in
    order. A DataLoader needs no workers of its own for it."""

    def __init__(self, read: FrameReader) -> None:
        self.read = read
        self._fed: Iterator[tuple[P, tuple[Outcome, ...]]] = iter(())
        self._following = -1

    @abstractmethod
    def __len__(self) -> int:
        """How many batches there are."""

    def __getitem__(self, index: int) -> B:
        if not 0 <= index < len(self):
            raise IndexError(index)
        if index != self._following:
            self._fed = feed(map(self._plan, range(index, len(self))), self.read.ahead)
        self._following = index + 1
        return self._batch(*next(self._fed))

    @abstractmethod
    def _plan(self, index: int) -> tuple[P, Sequence[Source]]:
        """A batch without frames, and what to decode for it. Called in a thread, a batch or so ahead."""

    @abstractmethod
    def _batch(self, planned: P, outcomes: Sequence[Outcome]) -> B:
        """The batch with what was decoded for it."""
