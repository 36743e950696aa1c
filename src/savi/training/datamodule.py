"""The LightningDataModule: clips to learn from, whose pairs the model makes or files have, and held-out items."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from savi.critique.given import GivenPairs
from savi.data.batches import (
    ItemBatch,
    ItemDataset,
    OptimizerStep,
    StepDataset,
    cut_groups,
    group_by_clip,
    plan_steps,
)
from savi.data.held_out import check_held_out, hold_out
from savi.data.reading import FrameReader
from savi.data.sources import WORLD, DataSources, HeldOutSet, WordingName
from savi.errors import SaviError, check_number
from savi.evaluation.benchmarks.items import Options, Scorer
from savi.evaluation.settings import BenchmarkSettings, OpenBenchmark, check_benchmarks
from savi.training.run_folder import has_ended
from savi.training.sources import AnswerSource, PairSource
from savi.types import Clip, Labelled, derive_seed
from savi.video.feeding import Outcome
from savi.video.frame_cache import FrameCacheSettings, open_frame_cache

MOST_SECONDS = 86_400.0
"""Most seconds that a file may take to decode: a day. The kernel's timer takes no more than some 10^9."""


class ClipDataModule(LightningDataModule):
    """Clips, pairs and held-out items.

    Args:
        clips: Videos to learn from: a folder, a glob, a video file or a manifest (.txt, .csv, .tsv, .json, .jsonl), or
            `world` for the rendered clips that come with savi.
        clip_count: Number of clips to use, the first ones. None: all of them. `world` has no end and needs a number.
        benchmark: Benchmarks to measure, by name: {mvbench: {root: FOLDER}, world: {}}. `world` alone is the held-out
            set of the rendered world. None: no evaluation.
        benchmark_scorer: How answers are scored if a benchmark's own settings don't say: `reply` reads the model's
            written reply, `likelihood` takes the likeliest option. None: `likelihood` for the rendered world, `reply`
            for the others.
        benchmark_set: Held-out set of the rendered world that a fit and `savi validate` measure. `dev` is for choices,
            `test` for reported figures; `forms`, `looks`, `outside`, `compositional`, `paths`: see docs/evaluation.md.
        test_set: Held-out set of the rendered world that `savi test` measures.
        wording: Words of the rendered world's questions and answers: `miniature`, which the miniature base knows, or
            `natural`, English sentences in several phrasings. Free replies to those are graded by their key words.
        benchmark_clips: Held-out clips of the rendered world. Each has three questions.
        benchmark_seed: Seed that the held-out clips of the rendered world are drawn with.
        labelled: Questions with known answers, for the readiness check, and with held_out for an accuracy, never to
            train on. A .jsonl, .json, .csv or .tsv file with video, question and answer, or `world` for the
            development set of the rendered world. None: readiness is estimated without labels.
        readiness_clips: Clips to learn from that the readiness check takes through the chain before the first round.
        held_out: Share of the clips that nothing is learned from. The model is measured on them, and on the labelled
            questions, before the first round and after each (docs/evaluation.md). 0: none.
        held_out_clips: Most clips that are held out. None: 100.
        pairs: Preference pairs to learn from, in place of those that the model makes: a file (.jsonl, .json, .csv,
            .tsv, .parquet), a glob, a folder of another run's rounds, or the name of a data set of the Hugging Face hub
            (`owner/name`, or `owner/name:split`). docs/own_pairs.md has the shapes of its rows. None: the model makes
            its pairs.
        videos: Folder that relative paths of videos in these files start from. None: the folder of each file.
        max_length: Most tokens of a clip with the messages and a response of such a pair. A longer pair is left out and
            reported; nothing is cut. None: what the base was made for.
        frames: Frames that are sampled from each clip. The default is the paper's.
        max_pixels: Most pixels per frame. A larger frame is scaled down, which bounds the visual tokens of families
            that read any size. Families that scale frames to a size of their own refuse it. None: frames as they are.
        decode_timeout: Most seconds of CPU time that a video file may take to decode. A slower one is left out, and
            reported, and so is one that takes ten times as long by the clock.
        pairs_per_step: Pairs per optimizer step.
        micro_batch_clips: Clips that go through the model together in training: memory and speed, not the result.
        generation_batch_clips: Clips that go through the chain or an evaluation together. Many make a GPU fast. None:
            as many as micro_batch_clips.
        epochs_per_round: Times that a round goes through its pairs.
        workers: Processes that decode videos ahead of the model, in the chain, in training and in evaluations: a whole
            batch ahead and the first clips of the next one. 0: the model waits for each video.
        seed: Seed of the order of pairs and of the rendered training clips; the command line takes seed_everything.
        frame_cache: Where the frames of decoded clips are kept.
        cache: Folder for rendered clips, kept frames and prefixes. None: savi's in the user's cache, ~/.cache/savi.
    """

    def __init__(
        self,
        clips: str = WORLD,
        clip_count: int | None = None,
        benchmark: dict[str, BenchmarkSettings] | str | None = WORLD,
        benchmark_scorer: Scorer | None = None,
        benchmark_set: HeldOutSet = "dev",
        test_set: HeldOutSet = "test",
        wording: WordingName = "miniature",
        benchmark_clips: int = 120,
        benchmark_seed: int = 0,
        labelled: str | None = None,
        readiness_clips: int = 32,
        held_out: float = 0.0,
        held_out_clips: int | None = None,
        pairs: str | None = None,
        videos: str | None = None,
        max_length: int | None = None,
        frames: int = 32,
        max_pixels: int | None = None,
        decode_timeout: float = 60.0,
        pairs_per_step: int = 32,
        micro_batch_clips: int = 8,
        generation_batch_clips: int | None = None,
        epochs_per_round: int = 1,
        workers: int = 0,
        seed: int = 0,
        frame_cache: FrameCacheSettings = FrameCacheSettings(),  # noqa: B008 (frozen)
        cache: str | None = None,
    ) -> None:
        super().__init__()
        for name, value in (
            ("clip_count", clip_count),
            ("benchmark_clips", benchmark_clips),
            ("readiness_clips", readiness_clips),
            ("max_length", max_length),
            ("frames", frames),
            ("max_pixels", max_pixels),
            ("pairs_per_step", pairs_per_step),
            ("micro_batch_clips", micro_batch_clips),
            ("generation_batch_clips", generation_batch_clips),
            ("epochs_per_round", epochs_per_round),
        ):
            if value is not None:
                check_number(f"data.{name}", value, least=1)
        check_number("data.decode_timeout", decode_timeout, above=0, most=MOST_SECONDS)
        check_number("data.workers", workers, least=0)
        benchmarks = check_benchmarks(benchmark, benchmark_scorer)
        options = Options(benchmark_set, frames, clips=benchmark_clips, seed=benchmark_seed, wording=wording)
        self.sources = DataSources(clips, clip_count, seed, labelled, benchmarks, options, cache, pairs, videos)
        if max_length is not None and pairs is None:
            raise SaviError("data.max_length goes with data.pairs: it bounds the tokens of their rows")
        self.test_set = test_set
        self.max_length = max_length
        self.readiness_clips = readiness_clips
        self.held_out_share, self.most_held_out = held_out, check_held_out(held_out, held_out_clips, pairs)
        self.frames = frames
        self.max_pixels = max_pixels
        self.decode_timeout = decode_timeout
        self.pairs_per_step = pairs_per_step
        self.micro_batch_clips = micro_batch_clips
        self.generation_batch_clips = micro_batch_clips if generation_batch_clips is None else generation_batch_clips
        self.epochs_per_round = epochs_per_round
        self.workers = workers
        self.seed = seed
        self.frame_cache = open_frame_cache(frame_cache, self.sources.cache_folder, frames, max_pixels)
        self.given: GivenPairs | None = None
        self.clips: list[Clip] = []
        self.held_out: list[Clip] = []
        self.labelled: list[Labelled] = []
        self.opened: dict[str, OpenBenchmark] = {}

    def setup(self, stage: str) -> None:
        """Find the clips and read the benchmarks' files, all before the model is loaded. Raises SaviError.

        The processes of a machine render what is missing of the world together.
        """
        if stage == "test":
            self.sources = replace(self.sources, options=replace(self.sources.options, split=self.test_set))
        if self.trainer and self.trainer.world_size > 1:
            place = self.trainer.local_rank, self.trainer.num_devices
            self.sources.render(stage == "fit", *place, meet=self.trainer.strategy.barrier)
        if stage == "fit":
            self.given = self.sources.given_pairs()
            self.clips = self.given.clips if self.given else self.sources.training_clips()
            self.labelled = self.sources.labelled_questions()
            if self.held_out_share:
                known = [one.clip.path for one in self.labelled]
                self.clips, self.held_out = hold_out(self.clips, self.held_out_share, self.most_held_out, known)
        self.opened = self.sources.open_benchmarks()

    def train_dataloader(self) -> DataLoader[OptimizerStep]:
        """The steps of this round, whose pairs are made here and now. None where a resumed run has all of its rounds.

        Raises SaviError when the filters left no pair.
        """
        if self.pair_source is None:
            raise RuntimeError("the Trainer's module has no self-critique callback that could build pairs")
        if self.trainer and has_ended(self.trainer):
            # Lightning asks for the steps of a round before it looks whether there is one.
            return self._loader(StepDataset([], self.micro_batch_clips, self._reader(), *self._place))
        built = self.pair_source.build_round(self.clips)
        seed = derive_seed(self.seed, "steps", built.round)
        groups = group_by_clip(built.pairs, built.by_clip, self.clips)
        if self.given:
            groups = cut_groups(groups, self.pairs_per_step)
        steps = plan_steps(groups, self.pairs_per_step, self.epochs_per_round, seed)
        return self._loader(StepDataset(steps, self.micro_batch_clips, self._reader(), *self._place, built.contents))

    def val_dataloader(self) -> DataLoader[ItemBatch] | list[DataLoader[ItemBatch]]:
        sets = [opened.items for opened in self.opened.values()]
        if not sets:
            return []
        is_answered = self.answer_source.is_answered if self.answer_source else _never
        return self._loader(ItemDataset(sets, self.generation_batch_clips, self._reader(), is_answered, *self._place))

    test_dataloader = val_dataloader

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:
        """Batches are frozen records of frames and text; the model moves what it needs."""
        return batch

    def read_frames(self, clips: Sequence[Clip]) -> Sequence[Outcome]:
        """Decode clips here and now."""
        return self._reader()(clips)

    def decode_ahead(self, sources: Iterable[Any]) -> Iterator[Any]:
        """Frames of files in their order, or why one has none, decoded by the workers ahead of their use."""
        return self._reader().ahead(sources)

    def _loader(self, dataset: StepDataset | ItemDataset) -> DataLoader[Any]:
        return DataLoader(dataset, batch_size=None, collate_fn=_as_it_is)

    @property
    def pair_source(self) -> PairSource | None:
        """The self-critique callback of the Trainer's module."""
        return getattr(self.trainer and self.trainer.lightning_module, "self_critique", None)

    @property
    def answer_source(self) -> AnswerSource | None:
        """The callback of the Trainer's module that keeps the answers of evaluations."""
        return getattr(self.trainer and self.trainer.lightning_module, "benchmark_answers", None)

    @property
    def _place(self) -> tuple[int, int]:
        """This process's rank, and how many there are."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _reader(self) -> FrameReader:
        source = self.pair_source
        is_cached, prepare = (source.is_cached, source.prepare) if source else (_never, None)
        ahead = max(self.generation_batch_clips, self.micro_batch_clips) + self.workers
        asked = self.frames, self.decode_timeout, is_cached, self.max_pixels, self.workers, ahead
        return FrameReader(*asked, self.frame_cache, prepare)


def _as_it_is(batch: object) -> object:
    return batch


def _never(_: object) -> bool:
    return False
