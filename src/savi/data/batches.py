"""From pairs to optimizer steps: which clips, with which of their pairs, are seen together."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from types import MappingProxyType

from savi.critique.clip_files import CHANGED
from savi.data.reading import FedDataset, FrameReader
from savi.distributed.sharding import chunks, shard
from savi.evaluation.benchmarks.items import Item
from savi.files import content_digest
from savi.types import Clip, Frames, PreferencePair, clips_of, derive_seed
from savi.video.decode import UndecodableClip
from savi.video.feeding import Outcome, Source


@dataclass(frozen=True)
class ClipPairs:
    """A clip with its pairs: they share one prefix, so they are scored together. by_id: all clips, of which rejected
    responses may be about another one. first: the number of the first pair among the round's, from 0; the others follow
    it."""

    clip: Clip
    pairs: Sequence[PreferencePair]
    by_id: Mapping[str, Clip] = field(default_factory=dict, repr=False, compare=False)
    first: int = 0


@dataclass(frozen=True)
class ClipBatch:
    """Clips that go through the model in one pass.

    frames: None where the model has cached the clip; the reason where a file that once was decoded can't be any more.
    """

    clips: tuple[Clip, ...]
    frames: tuple[Outcome, ...]

    def decoded(self) -> tuple[Frames | None, ...]:
        """The frames. Raises the UndecodableClip here, where it is one line, and not in a DataLoader's worker."""
        decoded: list[Frames | None] = []
        for frames in self.frames:
            if isinstance(frames, UndecodableClip):
                raise frames
            decoded.append(frames)
        return tuple(decoded)


@dataclass(frozen=True)
class MicroBatch(ClipBatch):
    """Clips with their pairs, (clips,) each. A clip that rejected responses alone are about has none."""

    pairs: tuple[tuple[PreferencePair, ...], ...]


@dataclass(frozen=True)
class OptimizerStep:
    """What one step of the optimizer learns from. The loss is the mean over all its pairs, however it is cut.

    micro_batches: this process's share, () where the step has fewer clips than there are processes. pairs: how many
    the step has in all processes together; clips: the same.
    """

    micro_batches: tuple[MicroBatch, ...]
    pairs: int
    clips: int


@dataclass(frozen=True)
class ItemBatch(ClipBatch):
    """Held-out clips with their items, (clips,) each."""

    items: tuple[tuple[Item, ...], ...]


def group_by_clip(
    pairs: Sequence[PreferencePair], by_clip: Mapping[str, int], clips: Iterable[Clip]
) -> list[ClipPairs]:
    """Pairs by clip. None of them is looked at, as they may still be in a file.

    by_clip: how many pairs each clip has, by its id, in their order. clips: those that the pairs were built from. Their
    files count: a pair has the name of its file for people to read.
    """
    by_id = {clip.id: clip for clip in clips}
    ends = accumulate(by_clip.values())
    starts = ((clip, end - by_clip[clip], end) for clip, end in zip(by_clip, ends, strict=True))
    return [ClipPairs(by_id[clip], pairs[start:end], by_id, start) for clip, start, end in starts]


def cut_groups(groups: Sequence[ClipPairs], most: int) -> list[ClipPairs]:
    """The groups in parts of at most `most` pairs: somebody else's file may have hundreds of pairs about a clip."""
    return [
        ClipPairs(group.clip, part, group.by_id, group.first + number * most)
        for group in groups
        for number, part in enumerate(chunks(group.pairs, most))
    ]


def plan_steps(groups: Sequence[ClipPairs], pairs_per_step: int, epochs: int, seed: int) -> list[list[ClipPairs]]:
    """Shuffle the clips anew for each pass, and fill steps with whole clips up to pairs_per_step pairs.

    A clip is never cut: its pairs share a prefix. One with more pairs than a step holds is a step of its own.
    """
    steps: list[list[ClipPairs]] = []
    for index in range(epochs):
        order = list(groups)
        random.Random(derive_seed(seed, "pass", index)).shuffle(order)
        step: list[ClipPairs] = []
        for group in order:
            if step and sum(len(g.pairs) for g in step) + len(group.pairs) > pairs_per_step:
                steps.append(step)
                step = []
            step.append(group)
        if step:
            steps.append(step)
    return steps


@dataclass(frozen=True)
class _PlannedStep:
    """A step without frames. parts: this process's passes, each with its clips and their pairs."""

    parts: tuple[tuple[tuple[Clip, ...], tuple[tuple[PreferencePair, ...], ...]], ...]
    pairs: int
    clips: int


class StepDataset(FedDataset[_PlannedStep, OptimizerStep]):
    """The optimizer steps of a round, in order. Every process takes all of them, each with its share of the clips.

    contents: digests of the clips' files as the round began, by clip id. A file that has another one now is not learned
    from: its pairs are about what was in it before.
    """

    def __init__(
        self,
        steps: Sequence[Sequence[ClipPairs]],
        micro_batch_clips: int,
        read: FrameReader,
        rank: int = 0,
        processes: int = 1,
        contents: Mapping[str, str | None] = MappingProxyType({}),
    ) -> None:
        super().__init__(read)
        self.steps = steps
        self.contents = dict(contents)
        self.micro_batch_clips = micro_batch_clips
        self.rank = rank
        self.processes = processes

    def __len__(self) -> int:
        return len(self.steps)

    def _plan(self, index: int) -> tuple[_PlannedStep, Sequence[Source]]:
        step = self.steps[index]
        parts = []
        for part in chunks(shard(step, self.rank, self.processes), self.micro_batch_clips):
            pairs = [tuple(group.pairs) for group in part]
            clips = [group.clip for group in part]
            clips += _others(part, pairs, clips)
            parts.append((tuple(clips), (*pairs, *[()] * (len(clips) - len(pairs)))))
        planned = _PlannedStep(tuple(parts), sum(len(group.pairs) for group in step), len(step))
        return planned, [self._changed(clip) or self.read.source(clip) for clips, _ in parts for clip in clips]

    def _batch(self, planned: _PlannedStep, outcomes: Sequence[Outcome]) -> OptimizerStep:
        frames = iter(outcomes)
        passes = [MicroBatch(clips, tuple(next(frames) for _ in clips), pairs) for clips, pairs in planned.parts]
        return OptimizerStep(tuple(passes), planned.pairs, planned.clips)

    def pair_numbers(self, index: int, rank: int) -> list[int]:
        """The numbers of the pairs that a process takes in a step, among the round's, in the order of its passes."""
        groups = shard(self.steps[index], rank, self.processes)
        return [number for group in groups for number in range(group.first, group.first + len(group.pairs))]

    def _changed(self, clip: Clip) -> UndecodableClip | None:
        before, now = self.contents.get(clip.id), content_digest(clip.path)
        return UndecodableClip(clip.path, CHANGED) if before and now and before != now else None


def _others(
    groups: Sequence[ClipPairs], pairs: Sequence[Sequence[PreferencePair]], clips: Sequence[Clip]
) -> list[Clip]:
    """The clips that rejected responses alone are about. pairs: of each group. clips: of the groups."""
    named = (
        group.by_id[other]
        for group, own in zip(groups, pairs, strict=True)
        for pair in own
        for other in clips_of(pair)[1:]
    )
    return [other for other in dict.fromkeys(named) if other not in clips]


class ItemDataset(FedDataset[Sequence[tuple[Clip, list[Item]]], ItemBatch]):
    """Held-out clips with their items, a batch of clips at a time, each batch of one set: one process's share of them.

    sets: the items of each benchmark. is_answered: whether a batch of items needs no frames any more. All processes
    have equally many batches, as Lightning takes for granted; one whose share is smaller has an empty batch at the end.
    """

    def __init__(
        self,
        sets: Sequence[Sequence[Item]],
        batch_clips: int,
        read: FrameReader,
        is_answered: Callable[[Sequence[Item]], bool],
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        super().__init__(read)
        batches: list[Sequence[tuple[Clip, list[Item]]]] = []
        for items in sets:
            by_clip: dict[Clip, list[Item]] = {}
            for item in items:
                by_clip.setdefault(item.clip, []).append(item)
            batches += chunks(list(by_clip.items()), batch_clips)
        missing = -len(batches) % processes if batches else processes
        self.batches = shard([*batches, *[()] * missing], rank, processes)
        self.is_answered = is_answered

    def __len__(self) -> int:
        return len(self.batches)

    def _plan(self, index: int) -> tuple[Sequence[tuple[Clip, list[Item]]], Sequence[Source]]:
        batch = self.batches[index]
        answered = self.is_answered([item for _, items in batch for item in items])
        return batch, [None if answered else self.read.source(clip) for clip, _ in batch]

    def _batch(self, planned: Sequence[tuple[Clip, list[Item]]], outcomes: Sequence[Outcome]) -> ItemBatch:
        clips, items = tuple(clip for clip, _ in planned), tuple(tuple(items) for _, items in planned)
        return ItemBatch(clips, tuple(outcomes), items)
