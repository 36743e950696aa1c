"""A round's preference pairs, built clip by clip: by the model of that round (VideoSAVi, section 3), or from files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from savi.critique.chain import CritiqueChain
from savi.critique.clip_files import ClipFiles, inspect_clips
from savi.critique.frames import frames_ahead
from savi.critique.pairs import StoredPairs
from savi.critique.readiness import AgreementCheck, LabelledCheck, Readiness, summarise
from savi.critique.readiness_check import check_agreement, check_labelled
from savi.critique.round_files import undecodable_clips
from savi.critique.store import ClipResult, PairStore
from savi.distributed.collectives import from_rank_zero, own_shard, shard_and_gather
from savi.distributed.sharding import chunks
from savi.types import Clip, Frames, Labelled
from savi.video.feeding import Decode

T = TypeVar("T")


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
    3. `build` decodes the other clips, asks the maker for their pairs, and commits them in the order of the clips.
    4. `close` gives the round's pairs.

    All processes have one and call the same methods. They share the batches, which are those of a single process, so
    that the pairs are the same. The first process alone has the store.
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
        self._store: PairStore | None = None
        self.done, self.files = from_rank_zero(partial(self._open, run, key), "building")

    def _open(self, run: Path, key: str) -> tuple[int, ClipFiles]:
        self._store = PairStore(run, self.maker.round, key)
        done = self._store.clips_done
        return done, inspect_clips(run, self.clips, done, undecodable_clips(run, self.maker.round - 1))

    def check_readiness(self, chain: CritiqueChain, sample: int, labelled: Sequence[Labelled]) -> Readiness:
        """Measure the chain's criticism on the first clips, `sample` of them, and on the labelled questions."""
        asked = list(dict.fromkeys(one.clip for one in labelled))

        def check_sampled(clips: Sequence[Clip], frames: Sequence[Frames | None]) -> list[AgreementCheck]:
            return check_agreement(chain, self.maker.run(clips, frames), clips, frames)

        def check_asked(clips: Sequence[Clip], frames: Sequence[Frames | None]) -> list[LabelledCheck]:
            return check_labelled(chain, clips, frames, [one for one in labelled if one.clip in clips])

        sampled = self._in_batches(self.clips[:sample], check_sampled, "readiness")
        agreement = [check for _, checks, _ in sampled for check in checks]
        examined = self._in_batches(asked, check_asked, "readiness")
        return summarise(agreement, [check for _, checks, _ in examined for check in checks])

    def build(self) -> Iterator[int]:
        """Build the pairs of all clips that aren't done. Yields after each batch how many of its clips are done now."""
        for batch, results, bad in self._in_batches(self.clips[self.done :], self.maker.run, "building"):
            of_good = iter(results)
            if self._store is not None:
                self._store.commit(
                    [ClipResult(clip, rejected=bad[clip]) if clip in bad else next(of_good) for clip in batch]
                )
            self.done += len(batch)
            yield len(batch)

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

    def _in_batches(
        self, clips: Sequence[Clip], run: Callable[[Sequence[Clip], Sequence[Frames | None]], list[T]], stage: str
    ) -> Iterator[tuple[Sequence[Clip], list[T], Mapping[Clip, str]]]:
        """Each batch in its order: its clips, what `run` gives for those with frames, and why the others have none."""
        batches = chunks(clips, self.batch_clips)
        read = frames_ahead(own_shard(batches), self.maker.is_cached, self.decode, self.files)

        def work(_: Sequence[Clip]) -> tuple[list[T], Mapping[Clip, str]]:
            _, good, bad = next(read)
            return run(list(good), list(good.values())) if good else [], bad

        for batch, (results, bad) in zip(batches, shard_and_gather(batches, work, stage), strict=True):
            self.files.failures.update((clip.id, reason) for clip, reason in bad.items())
            yield batch, results, bad
