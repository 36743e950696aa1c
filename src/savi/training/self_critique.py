"""The self-critique callback: each round, the model of that moment makes the pairs it will learn from."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from tqdm import tqdm

from savi.critique.chain import CritiqueChain
from savi.critique.filters import FILTERS
from savi.critique.store import ClipResult, PairStore
from savi.data.batches import chunks
from savi.types import Clip, Frames, PreferencePair, SaviError
from savi.video.decode import UndecodableClip
from savi.video.prefetch import decode_ahead

if TYPE_CHECKING:
    from savi.training.module import SelfAlignment


LISTED = 20
"""Most rejected clips named on the terminal; all of them are in the traces."""


class SelfCritique(Callback):
    """Builds a round's pairs when the datamodule asks for them, and commits them batch by batch.

    It hands itself to the datamodule in setup(), before Lightning asks for the first train loader.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.store: PairStore | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._trainer = trainer
        self._module: SelfAlignment = pl_module  # type: ignore[assignment]
        datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]
        datamodule.pair_source = self
        self._data = datamodule

    @property
    def round(self) -> int:
        return self._trainer.current_epoch

    @property
    def current_store(self) -> PairStore:
        """The store of the round that was built last."""
        if self.store is None:
            raise RuntimeError("no round has been built yet")
        return self.store

    def is_kept(self, clip: Clip) -> bool:
        return self._module.video_lm.is_kept(clip)

    def pairs(self, clips: Sequence[Clip]) -> Sequence[PreferencePair]:
        """The pairs of this round: what is on disk already, and the clips that are still to be done.

        Raises SaviError when no clip could be decoded, or the filters left nothing.
        """
        started = time.monotonic()
        run = Path(self._trainer.log_dir or ".")
        self.store = store = PairStore(run, self.round, self._key(clips))
        was_training = self._module.training
        self._module.eval()
        if not store.complete:
            self._build(store, clips)
        self._module.train(was_training)
        self.seconds = time.monotonic() - started
        self._report(store, clips)
        return store.pairs()

    def _build(self, store: PairStore, clips: Sequence[Clip]) -> None:
        module = self._module
        chain = CritiqueChain(
            module.video_lm,
            module.prompts,
            module.chain_settings,
            module.filter_settings,
            run_seed=module.seed,
            round_index=self.round,
        )
        remaining = clips[store.clips_done :]
        missing = {clip for clip in remaining if not self.is_kept(clip)}
        paths = [clip.path for clip in remaining if clip in missing]
        data = self._data
        decoded = decode_ahead(paths, data.frames, data.decode_timeout, data.workers, data.frame_pixels)
        bar = tqdm(
            total=len(clips),
            initial=store.clips_done,
            desc=f"Round {self.round + 1}: the model criticises itself",
            unit="clip",
            disable=not self._trainer.is_global_zero or self._trainer.progress_bar_callback is None,
        )
        with bar:
            for batch in chunks(remaining, self._data.clips_per_pass):
                frames = [next(decoded) if clip in missing else None for clip in batch]
                store.commit(_run_batch(chain, batch, frames))
                bar.update(len(batch))
                bar.set_postfix(pairs=store.counts()["pairs"])
        store.finish()

    def _key(self, clips: Sequence[Clip]) -> str:
        """What a round's pairs depend on; with another key, a half-built round can't be gone on with."""
        module = self._module
        parts = {
            "seed": module.seed,
            "base": [module.base_fingerprint(), module.base_settings.dtype, module.base_settings.nf4],
            "reference": module.reference,
            "prompts": asdict(module.prompts),
            "chain": asdict(module.chain_settings),
            "filters": asdict(module.filter_settings),
            "frames": [self._data.frames, self._data.frame_pixels],
            "clips_per_pass": self._data.clips_per_pass,
            "clips": [clip.id for clip in clips],
        }
        return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()

    def _report(self, store: PairStore, clips: Sequence[Clip]) -> None:
        rejected = store.rejected()
        if self.round == 0:  # the same clips every round; the run's end lists them once more
            for video, reason in list(rejected.items())[:LISTED]:
                rank_zero_info(f"Left out: {video}: {reason}")
        if len(rejected) == len(clips):
            raise SaviError(f"none of the {len(clips)} clips could be decoded; the reasons are in {store.traces_path}")
        counts = store.counts()
        taken = ", ".join(f"{name} {counts[name]}" for name in FILTERS if counts.get(name)) or "none"
        if not counts["pairs"]:
            raise SaviError(
                f"round {self.round + 1} has no pair to learn from, the filters took them all ({taken}); "
                f"every turn is in {store.traces_path}"
            )
        rank_zero_info(f"Round {self.round + 1}: {counts['pairs']} pairs; what the filters took: {taken}")


def _run_batch(
    chain: CritiqueChain, clips: Sequence[Clip], frames: Sequence[Frames | UndecodableClip | None]
) -> list[ClipResult]:
    """Results in the order of the clips; one that can't be decoded is rejected, the others go through the chain."""
    good = [(c, f) for c, f in zip(clips, frames, strict=True) if not isinstance(f, UndecodableClip)]
    done = iter(chain.run([c for c, _ in good], [f for _, f in good]) if good else [])
    return [
        ClipResult(clip, rejected=frame.reason) if isinstance(frame, UndecodableClip) else next(done)
        for clip, frame in zip(clips, frames, strict=True)
    ]
