"""The sources of a run's data: files of the user's, or the rendered world that comes with savi."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from savi.cache import cache_folder
from savi.critique.given import GivenPairs
from savi.data.clips import find_clips
from savi.data.labelled import read_labelled
from savi.data.pair_files import read_given_pairs
from savi.distributed.sharding import shard
from savi.errors import SaviError
from savi.evaluation.benchmarks.items import Options
from savi.evaluation.benchmarks.registry import BENCHMARKS
from savi.evaluation.settings import BenchmarkSettings, OpenBenchmark, open_benchmarks
from savi.types import Clip, Labelled
from savi.world.benchmark import HeldOutSet as HeldOutSet
from savi.world.benchmark import WordingName as WordingName
from savi.world.benchmark import held_out
from savi.world.clips import clip, training_clips

WORLD = "world"
"""The rendered world's name as a source."""

LABELLED_CLIPS = 64
"""Clips of the world's development set that serve as labelled ones: 192 questions."""

RENDERED = 8
"""Clips that a process renders between two meetings."""


@dataclass(frozen=True)
class DataSources:
    """Where a run's clips, labelled questions and held-out items come from.

    clips: to learn from: a source of find_clips, or WORLD. count: of them, the first ones; None for all. seed: of the
    world's. labelled: a file of read_labelled, or WORLD, or None. benchmarks: by name. options: for their items. cache:
    the folder that the world is rendered into; None for savi's folder in the user's cache. pairs: a source of
    read_given_pairs, whose clips are learned from in place of all others; None where the model makes its pairs itself.
    videos: the folder of their videos.
    """

    clips: str
    count: int | None
    seed: int
    labelled: str | None
    benchmarks: Mapping[str, BenchmarkSettings]
    options: Options
    cache: str | None
    pairs: str | None = None
    videos: str | None = None

    def __post_init__(self) -> None:
        asked = any(BENCHMARKS[name].rendered for name in self.benchmarks) or self.labelled == WORLD
        if self.options.wording != "miniature" and not asked:
            raise SaviError("data.wording is of questions about the rendered world, and the run asks none of them")
        if self.pairs is not None:
            return
        if self.videos is not None:
            raise SaviError("data.videos goes with data.pairs: it is the folder of the videos that they are about")
        if not self.clips:
            raise SaviError("data.clips must name a folder, a glob, a manifest or a file, or be `world`")
        if self.clips == WORLD and self.count is None:
            raise SaviError("data.clip_count is needed with data.clips=world: how many clips to render")

    def given_pairs(self) -> GivenPairs | None:
        """The pairs from files, if there are any. Raises SaviError."""
        return None if self.pairs is None else read_given_pairs(self.pairs, self.videos, self.cache_folder / "images")

    def training_clips(self) -> list[Clip]:
        """The clips that the model makes pairs of. Raises SaviError."""
        if self.clips == WORLD:
            return training_clips(self._training_folder, self.count or 0, self.seed)
        try:
            return find_clips(self.clips, self.count)
        except SaviError as error:
            raise SaviError(f"data.clips: {error}") from None

    def labelled_questions(self) -> list[Labelled]:
        """The questions with known answers. Raises SaviError."""
        if self.labelled is None or self.pairs is not None:
            return []
        if self.labelled == WORLD:
            place = self._held_out_folder, LABELLED_CLIPS, self.options.seed
            items = held_out(*place, "dev", self.options.wording)
            return [Labelled(item.clip, item.question, item.key) for item in items]
        try:
            return read_labelled(Path(self.labelled).expanduser())
        except SaviError as error:
            raise SaviError(f"data.labelled: {error}") from None

    def open_benchmarks(self) -> dict[str, OpenBenchmark]:
        """The benchmarks, their files read and checked. Raises SaviError."""
        return open_benchmarks(self.benchmarks, self.options, self._held_out_folder)

    def render(self, fit: bool, rank: int, processes: int, meet: Callable[[], None]) -> None:
        """Render what is missing of the world for a fit or an evaluation, this process its share.

        meet: called by all processes equally often, after every few clips, so that none waits long for another.
        """
        wanted = list(self._world_clips(fit))
        for start in range(0, len(wanted), RENDERED * processes):
            for one in shard(wanted[start : start + RENDERED * processes], rank, processes):
                clip(*one)
            meet()

    def _world_clips(self, fit: bool) -> Iterator[tuple[str, Path, int, int]]:
        """The arguments of clip() for each of the world's clips."""
        if fit and self.pairs is None and self.clips == WORLD:
            yield from (("train", self._training_folder, self.seed, index) for index in range(self.count or 0))
        held_out_sets = [("dev", LABELLED_CLIPS)] if fit and self.pairs is None and self.labelled == WORLD else []
        held_out_sets += [
            (settings.split or self.options.split, self.options.clips)
            for name, settings in self.benchmarks.items()
            if BENCHMARKS[name].rendered
        ]
        for split, count in held_out_sets:
            yield from ((split, self._held_out_folder, self.options.seed, index) for index in range(count))

    @property
    def _training_folder(self) -> Path:
        return self.cache_folder / f"world-{self.seed}" / "train"

    @property
    def _held_out_folder(self) -> Path:
        return self.cache_folder / f"world-{self.options.seed}" / "held_out"

    @property
    def cache_folder(self) -> Path:
        """The folder for what can be made again."""
        return cache_folder(self.cache)
