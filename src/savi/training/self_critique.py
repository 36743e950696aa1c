"""The self-critique callback: each round, the model of that moment makes the pairs it will learn from, or scores those
from files."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from filelock import FileLock
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from savi.alignment.finite import explained
from savi.alignment.round_key import PairsDependOn
from savi.critique.builder import BuiltRound, PairBuilder, PairMaker
from savi.critique.chain import CritiqueChain
from savi.critique.round import Round
from savi.critique.round_files import check_key
from savi.critique.round_report import LISTED, left_out, refuse_empty, so_far, summary, warnings
from savi.distributed.collectives import from_rank_zero
from savi.files import write_json
from savi.methods import FromFiles, PairMethod
from savi.record.lock import lock_run, unlock_run
from savi.record.resume import check_clips
from savi.training.checkpoints import count_finished_round
from savi.training.given_rounds import GivenRounds
from savi.training.launching import stop_on_sigterm
from savi.training.parts import aligned, data_of
from savi.training.progress import progress_of
from savi.training.run_folder import run_folder
from savi.training.start_checks import check_readiness_clips
from savi.types import Clip, Frames, SaviError, readable


class SelfCritique(Callback):
    """Builds a round's pairs when the datamodule asks for them, and commits them batch by batch.

    The datamodule finds it by the Trainer's module, which owns it.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        """What building the last round took."""
        self.force = False
        """Whether a run whose readiness check expects no pair begins all the same."""
        self._built: BuiltRound | None = None
        self._finished = 0
        self._given: GivenRounds | None = None
        self._locked: FileLock | None = None
        self._named_full: set[str] = set()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._trainer = trainer
        self._module = aligned(pl_module)
        self._data = data = data_of(trainer)
        if stage == "fit":
            if data.given:
                self._given = GivenRounds(data.given, self._module, data, run_folder(trainer))
            self._method: PairMethod = FromFiles() if data.given else self._module.pair_method
            self._method.check(data.clips, data.generation_batch_clips, data.frames)
            if self._method.note:
                rank_zero_info(self._method.note)
            from_rank_zero(self._lock, "start")
            if self._given:
                from_rank_zero(self._given.begin, "start")
            source = data.sources.pairs or data.sources.clips
            from_rank_zero(partial(check_clips, run_folder(trainer), data.clips, source), "start")

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._finished = int(checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"])

    def check_round(self) -> None:
        """Raises SaviError where the round that comes now was begun with other settings. Changes no file."""
        check_key(run_folder(self._trainer), self._finished, self._key(self._data.clips, self._finished))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        stop_on_sigterm()

    on_test_start = on_validation_start

    def _lock(self) -> None:
        self._locked = lock_run(run_folder(self._trainer))

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._unlock()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._unlock()

    def _unlock(self) -> None:
        if self._locked is not None:
            unlock_run(self._locked)
            self._locked = None

    @property
    def round(self) -> int:
        return self._trainer.current_epoch

    @property
    def built(self) -> BuiltRound:
        """The round that was built last."""
        if self._built is None:
            raise RuntimeError("no round has been built yet")
        return self._built

    @property
    def filters(self) -> Sequence[str]:
        """The names that the round's losses are counted under, in the order in which they are shown."""
        return self._method.filters(self._module.own_filters)

    def is_cached(self, clip: Clip) -> bool:
        return self._module.video_lm.is_cached(clip)

    def prepare(self, frames: Frames) -> Frames:
        return self._module.video_lm.prepare(frames)

    def build_round(self, clips: Sequence[Clip]) -> BuiltRound:
        """The pairs of this round, in every process: what is on disk already, and the clips that are still to be done.

        Raises SaviError when no clip could be decoded, or the filters left nothing.
        """
        stop_on_sigterm()
        count_finished_round(self._trainer)
        started = time.monotonic()
        round = self._settings()
        builder = self._builder(self._method.maker(round), clips)
        for clip in builder.files.changed[:LISTED]:
            name = readable(str(clip.path))
            rank_zero_info(f"Changed since the round before, so its pairs are about the new file: {name}")
        was_training = self._module.training
        self._module.eval()
        # The chain writes and scores in the precision that the optimizer steps score in.
        with explained(f"Round {self.round + 1}, its pairs"), self._trainer.precision_plugin.forward_context():
            if self.round == 0 and builder.done == 0 and (chain := self._method.measured(round)):
                self._check_readiness(builder, chain)
            self._build(builder)
        self._module.train(was_training)
        self._built = built = builder.close()
        self._name_full_caches()
        if self._given:
            self._given.keep(built)
        self.seconds = time.monotonic() - started
        lost = () if self._given else left_out(built)  # rows of files have been named, with their places
        _report(built, len(clips), self.filters, lost)
        return built

    def _name_full_caches(self) -> None:
        """Once a run. With a large model what has no room takes hours more."""
        frames = self._data.frame_cache
        caches = {"model.prefix_cache": self._module.prefix_folder, "data.frame_cache": frames and frames.folder}
        for name, folder in caches.items():
            if name not in self._named_full and (line := folder and folder.lack_of_room(name)):
                self._named_full.add(name)
                rank_zero_info(line)

    def _builder(self, maker: PairMaker, clips: Sequence[Clip]) -> PairBuilder:
        return PairBuilder(
            maker,
            self._data.decode_ahead,
            clips,
            self._data.generation_batch_clips,
            run_folder(self._trainer),
            self._key(clips, self.round),
        )

    def _build(self, builder: PairBuilder) -> None:
        progress = progress_of(self._trainer)
        with progress.part("building", len(builder.clips), builder.done):
            for clips in builder.build():
                progress.advance(clips, so_far(builder.counts))

    def _settings(self) -> Round:
        """What the method makes this round's pairs with."""
        module = self._module
        return Round(
            module.video_lm,
            module.prompts,
            module.chain_settings,
            module.filter_settings,
            run_seed=module.seed,
            index=self.round,
            load=module.load_another,
            own_filters=module.own_filters,
            given=self._given.to_score() if self._given else None,
        )

    def _check_readiness(self, builder: PairBuilder, chain: CritiqueChain) -> None:
        """Say whether the model's criticism looks worth learning from, and keep the figures with the run."""
        sample = self._data.readiness_clips
        check_readiness_clips(self._method, min(sample, len(builder.clips)), self._data.generation_batch_clips)
        with progress_of(self._trainer).part("checking readiness", 0):
            readiness = builder.check_readiness(chain, sample, self._data.labelled)
        for video, reason in builder.files.failures.items():
            rank_zero_info(f"Readiness is measured without clip {video}: {reason}")
        from_rank_zero(lambda: write_json(run_folder(self._trainer) / "readiness.json", asdict(readiness)), "readiness")
        rank_zero_info(readiness.line())
        if (why := readiness.hopeless()) and not self.force:
            raise SaviError(why)

    def _key(self, clips: Sequence[Clip], round_index: int) -> str:
        module, data = self._module, self._data
        depend_on = PairsDependOn(
            seed=module.seed,
            fingerprint=module.base_fingerprint(),
            base=module.base_settings,
            reference=module.reference,
            method=self._method,
            prompts=module.prompts,
            chain=module.chain_settings,
            filters=module.filter_settings,
            own_filters=module.own_filters,
            frames=data.frames,
            max_pixels=data.max_pixels,
            precision=str(self._trainer.precision),
            batch_clips=data.generation_batch_clips,
            given=self._given.key_parts() if self._given else None,
        )
        return depend_on.key(clips, run_folder(self._trainer), round_index)


def _report(built: BuiltRound, clips: int, filters: Sequence[str], lost: Iterable[str]) -> None:
    """lost: lines on clips that could not be used. Raises SaviError for a round that nothing can be learned from."""
    for line in lost:
        rank_zero_info(line)
    refuse_empty(built, clips, filters)
    rank_zero_info(summary(built, filters))
    for line in warnings(built):
        rank_zero_warn(line)
