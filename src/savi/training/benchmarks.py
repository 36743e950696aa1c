"""The callback that evaluates: it opens an evaluation, hands it the batches, and closes it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from savi.data.batches import ItemBatch
from savi.evaluation.benchmarks.items import Item
from savi.evaluation.benchmarks.registry import BENCHMARKS
from savi.evaluation.evaluation import AskedAs, Evaluation
from savi.evaluation.measured import Summary
from savi.evaluation.settings import describe
from savi.inference import VideoModel
from savi.models.adapters import trainable_state
from savi.record.settings_kinds import without_later
from savi.training.parts import aligned, data_of
from savi.training.run_folder import run_folder, run_name

NOTHING_MEASURED = "measuring nothing: data.benchmark is null, so this run can't say whether training helps. "
NAME_ONE = "Give data.benchmark the folder of a benchmark"
OR_HOLD_OUT = ", or data.held_out a share of the clips"
NO_ACCURACY = (
    ". What is measured on them is no accuracy: that takes data.labelled, a few dozen questions of your own with their "
    "answers, or data.benchmark (docs/evaluation.md)"
)
OR_LABELS = (
    ", or give data.labelled a few dozen questions of your own with their answers: then the readiness check says, "
    "before the first round, how often the model is right and what criticism changes"
)


class BenchmarkAnswers(Callback):
    """Asks the module's model the held-out items.

    Files go to `benchmarks/` in the folder of a validation or a test, to `benchmarks/round_NN/` in that of a fit.
    """

    def __init__(self) -> None:
        self._evaluation: Evaluation | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._data = data_of(trainer)
        for opened in self._data.opened.values():
            rank_zero_info(describe(opened))
        if stage == "fit" and self._data.held_out:
            accuracy = "" if self._data.labelled or self._data.opened else NO_ACCURACY
            rank_zero_info(f"held out: {len(self._data.held_out)} clips, which nothing is learned from{accuracy}.")
        elif stage == "fit" and not self._data.opened:
            more = "" if self._data.given else OR_HOLD_OUT + ("" if self._data.labelled else OR_LABELS)
            rank_zero_info(f"{NOTHING_MEASURED}{NAME_ONE}{more} (docs/evaluation.md).")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        module, data = aligned(pl_module), self._data
        model: dict[str, object] = {
            "base": module.base_settings.identity(module.base_fingerprint()),
            "adapter": [_digest(trainable_state(pl_module)), without_later(asdict(module.lora_settings), "model.lora")],
            "clips_per_chain": data.generation_batch_clips,
        }
        if trainer.precision != "32-true":
            model["precision"] = trainer.precision
        asked_as = AskedAs(module.prompts, module.reply, data.frames, data.max_pixels)
        self._evaluation = Evaluation(data.opened, asked_as, _folder(trainer), model, trainer.global_rank)
        for name, count in self._evaluation.answered_before().items():
            rank_zero_info(f"{BENCHMARKS[name].title}: {count} of {len(data.opened[name].items)} were answered before")

    on_test_start = on_validation_start

    def is_answered(self, items: Sequence[Item]) -> bool:
        """Whether a batch is in the log already, so that its frames aren't needed."""
        return self._evaluation is not None and self._evaluation.is_answered(items)

    def answer(self, batch: ItemBatch, model: VideoModel) -> None:
        """Answer a batch of one benchmark's items, unless the log has it."""
        items = [item for clip_items in batch.items for item in clip_items]
        if self._evaluation is None or not items or self.is_answered(items):
            return
        self._evaluation.answer(model, batch.clips, batch.frames, batch.items)

    def finish(self, trainer: Trainer) -> dict[str, Summary]:
        """Close the evaluation; the summaries by benchmark."""
        evaluation, self._evaluation = self._evaluation, None
        return evaluation.finish(run_name(trainer)) if evaluation else {}


def _folder(trainer: Trainer) -> Path:
    """Where the files of the current evaluation go."""
    folder = run_folder(trainer) / "benchmarks"
    if trainer.state.fn != "fit":
        return folder
    return folder / f"round_{0 if trainer.sanity_checking else trainer.current_epoch + 1:02d}"


def _digest(state: Mapping[str, Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()
