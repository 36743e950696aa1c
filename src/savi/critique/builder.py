"""A round's preference pairs, built clip by clip: by the model of that round (VideoSAVi, section 3), or from files."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from torch import distributed

from savi.critique.chain import CritiqueChain
from savi.critique.clip_files import ClipFiles, inspect_clips
from savi.critique.clip_results import ClipResult, make_batch
from savi.critique.frames import frames_ahead
from savi.critique.pairs import StoredPairs
from savi.critique.parts import Part
from savi.critique.readiness import AgreementCheck, LabelledCheck, Readiness, summarise
from savi.critique.readiness_check import check_agreement, check_labelled
from savi.critique.round_files import read_progress, round_paths, undecodable_clips
from savi.critique.store import PairStore
from savi.distributed.collectives import from_rank_zero, gather_shares, own_shard, waits
from savi.distributed.failures import are_several
from savi.distributed.sharding import chunks
from savi.errors import SaviError
from savi.types import Clip, Frames, Labelled
from savi.video.feeding import Decode

T = TypeVar("T")

LEAST_PAUSE, MOST_PAUSE = 0.05, 5.0
"""Seconds between two looks at what the other processes have written. Each pause is twice the one before."""

SHARED = 60.0
"""Seconds after which a file that one machine has written has come up on the others, if they share a disk."""


class PairMaker(Protocol):
    """What makes the pairs of a round. round: from 0."""

    round: int

    def is_cached(self, clip: Clip) -> bool:
        """Whether run() can do without this clip's frames."""

    def run(self, clips: Sequence[Clip], frames: Sequence[Frames | None]) -> list[ClipResult]:
        """Pairs and traces of a batch of clips. frames may be None where is_cached() says so."""


@dataclass(frozen=True)
class BuiltRound:
    """A round's pairs in the order of the clips, and what became of the rest.

    round: from 0. pairs: in the round's file, from which each process reads those that it needs. by_clip: how many each
    clip has, in their order. counts: as PairStore.counts. unfinished, rejected: as TraceSummary. traces: the file with
    every turn.
    contents: digests of the clips' files as the round began, by clip id.
    """

    round: int
    pairs: StoredPairs
    by_clip: dict[str, int]
    counts: dict[str, int]
    unfinished: dict[str, float]
    rejected: dict[str, str]
    traces: Path
    contents: Mapping[str, str | None]


class PairBuilder:
    """Has a maker give a round's clips their pairs, batch by batch, and keeps them.

    1. It opens the round's store. Clips whose pairs a killed run has left there are done already.
    2. `check_readiness` measures on a sample whether the model's criticism is worth learning. It is optional.
    3. `build` decodes the other clips, asks the maker for their pairs, and keeps them.
    4. `close` gives the round's pairs, in the order of the clips.

    All processes have one and call the same methods. They share the batches, which are those of a single process, so
    that the pairs are the same. None waits for another: each writes its batches to a part of its own. The first process
    alone has the store. It merges the parts in the order of the batches, and waits in the end for the parts of all.
    """

    def __init__(
        self,
        maker: PairMaker,
        decode: Decode,
        clips: Sequence[Clip],
        batch_clips: int,
        run: Path,
        key: str,
    ) -> None:
        """maker: with the model of this round. batch_clips: clips that it gets together. run: its folder. key: of
        everything that the pairs depend on. Raises SaviError for a round that was begun with another one."""
        self.maker = maker
        self.decode = decode
        self.clips = clips
        self.batch_clips = batch_clips
        self.batches = chunks(clips, batch_clips)
        self._store: PairStore | None = None
        self._built, self.files = from_rank_zero(partial(self._open, run, key), "building")
        self.done = sum(len(self.batches[number]) for number in self._built)
        *_, self._progress_path = round_paths(run, maker.round)
        self._part = self._open_part(run) if are_several() else None

    def _open(self, run: Path, key: str) -> tuple[frozenset[int], ClipFiles]:
        """The numbers of the batches that are done already, and the clips' files."""
        self._store = PairStore(run, self.maker.round, key)
        built = frozenset([*range(self._store.batches_done), *self._store.waiting])
        done = [clip for number in built for clip in self.batches[number]]
        return built, inspect_clips(run, self.clips, done, undecodable_clips(run, self.maker.round - 1))

    def _open_part(self, run: Path) -> Part:
        """Raises SaviError where the first process's file doesn't come up on this machine."""
        end = time.monotonic() + SHARED
        while not self._progress_path.exists():
            if time.monotonic() > end:
                raise SaviError(f"{self._progress_path} isn't there: all processes must share the run's folder")
            time.sleep(LEAST_PAUSE)
        return Part(run, self.maker.round, distributed.get_rank())

    def check_readiness(self, chain: CritiqueChain, sample: int, labelled: Sequence[Labelled]) -> Readiness:
        """Measure the chain's criticism on the first clips, `sample` of them, and on the labelled questions."""
        asked = list(dict.fromkeys(one.clip for one in labelled))

        def check_sampled(clips: Sequence[Clip], frames: Sequence[Frames | None]) -> list[AgreementCheck]:
            return check_agreement(chain, self.maker.run(clips, frames), clips, frames)

        def check_asked(clips: Sequence[Clip], frames: Sequence[Frames | None]) -> list[LabelledCheck]:
            return check_labelled(chain, clips, frames, [one for one in labelled if one.clip in clips])

        return summarise(self._share(self.clips[:sample], check_sampled), self._share(asked, check_asked))

    def _share(
        self, clips: Sequence[Clip], run: Callable[[Sequence[Clip], Sequence[Frames | None]], list[T]]
    ) -> list[T]:
        """What `run` gives for the clips with frames, in the order of their batches, in all processes."""
        own = own_shard(chunks(clips, self.batch_clips))
        read = frames_ahead(own, self.maker.is_cached, self.decode, self.files)

        def work() -> Iterator[tuple[list[T], Mapping[Clip, str]]]:
            for _, good, bad in read:
                yield run(list(good), list(good.values())) if good else [], bad

        found = gather_shares(work, "readiness")
        self.files.failures.update((clip.id, reason) for _, bad in found for clip, reason in bad.items())
        return [one for results, _ in found for one in results]

    def build(self) -> Iterator[int]:
        """Build the pairs of all clips that aren't done. Yields again and again how many more clips are done now: in
        the first process of all clips, in the others of their share."""
        own = own_shard([number for number in range(len(self.batches)) if number not in self._built])
        batches = [self.batches[number] for number in own]
        read = frames_ahead(batches, self.maker.is_cached, self.decode, self.files)
        for number, (batch, good, bad) in zip(own, read, strict=True):
            made = iter(self.maker.run(list(good), list(good.values())) if good else [])
            self._keep(number, [ClipResult(clip, rejected=bad[clip]) if clip in bad else next(made) for clip in batch])
            yield self._count(len(batch))
        yield from self._wait_for_all()

    def _keep(self, number: int, results: Sequence[ClipResult]) -> None:
        if self._part is not None:
            self._part.add(number, make_batch(results))
        elif self._store is not None:
            self._store.commit(results)

    def _count(self, own: int) -> int:
        """How many more clips are done than before. own: how many of them are this process's."""
        before = self.done
        self.done = before + own
        if self._store is not None:
            self._store.merge()
            self.done = self._store.clips_kept
        return self.done - before

    def _wait_for_all(self) -> Iterator[int]:
        """Until the batches of all processes are merged. Operations of torch give up on so long a wait."""
        pause = LEAST_PAUSE
        with waits.meeting("building"):
            while not self._is_whole():
                time.sleep(pause)
                pause = min(2 * pause, MOST_PAUSE)
                if self._store is not None:
                    yield self._count(0)

    def _is_whole(self) -> bool:
        done = self._store.batches_done if self._store is not None else read_progress(self._progress_path).batches
        return done == len(self.batches)

    @property
    def counts(self) -> dict[str, int]:
        """What became of the clips so far, as PairStore.counts, in the first process; {} in the others."""
        return self._store.counts() if self._store is not None else {}

    def close(self) -> BuiltRound:
        """The round, in all processes, once all clips are done. The processes exchange no pair here."""
        return from_rank_zero(self._close, "building")

    def _close(self) -> BuiltRound:
        if self._store is None:
            raise RuntimeError("the first process has no store")
        if not self._store.complete:
            self._store.finish()
        store, traces = self._store, self._store.traces()
        pairs, by_clip = store.pairs()
        return BuiltRound(
            round=self.maker.round,
            pairs=pairs,
            by_clip=by_clip,
            counts=store.counts(),
            unfinished=traces.unfinished,
            rejected=traces.rejected,
            traces=store.traces_path,
            contents=self.files.contents,
        )
