"""The LightningModule: DPO steps on the model's own pairs, and held-out multiple choice."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from lightning import Callback
from lightning.pytorch.strategies import ParallelStrategy

from savi.alignment.finite import explained
from savi.alignment.optim import apply_settings, build_optimizer
from savi.alignment.step import take_step, try_weights
from savi.data.batches import ItemBatch, OptimizerStep
from savi.training.aligned_model import AlignedModel
from savi.training.benchmarks import BenchmarkAnswers
from savi.training.check_trainer import check_trainer
from savi.training.checkpoints import RunCheckpoint
from savi.training.limits import RunLimits
from savi.training.parts import data_of
from savi.training.policy_logps import PolicyLogps
from savi.training.results import RunResults
from savi.training.self_critique import SelfCritique
from savi.types import Clip, Excerpt, Frames, derive_seed
from savi.video.decode import UndecodableClip

LENGTHS = ("lengths/chosen", "lengths/rejected")
"""The metrics whose sum is the tokens of a pair's responses. The second one is absent with some losses."""


class SelfAlignment(AlignedModel):
    """A video-LLM that is aligned by its own criticism (VideoSAVi). What Lightning asks of whom, in order:

    1. Before the first round, all held-out items: `validation_step` measures the base, and `RunResults` writes it down.
    2. Each round begins with `ClipDataModule.train_dataloader`, which asks `self.self_critique` for the round's pairs.
       `SelfCritique` lets a `PairBuilder` take every clip to the run's `PairMethod`, with the model of this moment: for
       VideoSAVi questions, answers, critiques, revisions, and the reference's log-probabilities of both responses.
    3. `training_step` takes one optimizer step per batch: the DPO loss of the step's pairs, over all its clips.
    4. At the round's end `validation_step` measures the model again, `RunCheckpoint` keeps it, and the next round's
       pairs are built with it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.self_critique = SelfCritique()
        self.benchmark_answers = BenchmarkAnswers()
        self.policy_logps = PolicyLogps(self.self_critique)
        self._step_began = 0.0

    def configure_callbacks(self) -> list[Callback]:
        # Lightning asks for callbacks before it prepares data or loads a model.
        check_trainer(self.trainer, self.base_settings)
        callbacks: list[Callback] = [
            self.self_critique,
            self.benchmark_answers,
            RunResults(self.benchmark_answers, self.self_critique),
            self.policy_logps,
            RunLimits(),
        ]
        checkpoints = self.trainer.checkpoint_callbacks
        if not any(isinstance(callback, RunCheckpoint) for callback in checkpoints):
            # Lightning takes a subclass of ModelCheckpoint for a replacement of the user's own, which stay.
            callbacks += [*checkpoints, RunCheckpoint()]
        return callbacks

    def frames_of(self, clip: Clip) -> Frames | None:
        (outcome,) = data_of(self.trainer).decode_ahead([clip if isinstance(clip, Excerpt) else clip.path])
        return None if isinstance(outcome, UndecodableClip) else outcome

    def configure_optimizers(self) -> Any:
        parameters = [p for p in self.parameters() if p.requires_grad]
        optimizer, schedule = build_optimizer(parameters, self.optimizer_settings)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule}}

    def on_train_start(self) -> None:
        # A checkpoint brings the rates of its own start along.
        optimizer: Any = self.optimizers()
        schedule: Any = self.lr_schedulers()
        apply_settings(optimizer.optimizer, schedule, self.optimizer_settings)

    def training_step(self, batch: OptimizerStep, batch_index: int) -> None:
        """One optimizer step, see :func:`savi.alignment.step.take_step`."""
        optimizer: Any = self.optimizers()
        # A step's dropout depends on the run and the step alone, so that a resumed run draws the same.
        torch.manual_seed(derive_seed(self.seed, "dropout", self.global_step, self.global_rank))
        clip_norm = self.optimizer_settings.clip_norm
        step = self.global_step
        with explained(f"Round {self.current_epoch + 1}, step {step + 1}"), self._without_sync():
            means, logps = take_step(self.video_lm, optimizer, batch, self.loss, clip_norm, self.manual_backward)
        self.policy_logps.keep(batch_index, step, logps)
        if self.trainer.is_last_batch:
            self._try_weights(batch)
        schedule: Any = self.lr_schedulers()
        self.log_dict({"optimizer/grad_norm": means.pop("grad_norm"), "optimizer/lr": schedule.get_last_lr()[0]})
        schedule.step()
        bar = ("loss", "rewards/accuracies", "rewards/margins")
        self.log_dict({k: v for k, v in means.items() if k in bar}, prog_bar=True, batch_size=batch.pairs)
        self.log_dict({k: v for k, v in means.items() if k not in bar}, batch_size=batch.pairs)
        seconds, self._step_began = time.monotonic() - self._step_began, time.monotonic()
        tokens = torch.stack([means[name] for name in LENGTHS if name in means]).sum() * batch.pairs
        self.log("speed/clips_per_second", batch.clips / seconds)
        self.log("speed/response_tokens_per_second", tokens / seconds)

    def on_train_epoch_start(self) -> None:
        self._step_began = time.monotonic()

    def on_validation_end(self) -> None:
        self._step_began = time.monotonic()

    def _try_weights(self, batch: OptimizerStep) -> None:
        """Before a checkpoint is made of the weights that the last step gave."""
        was_training = self.training
        self.eval()
        with explained(f"Round {self.current_epoch + 1}, after its last step {self.global_step}"):
            try_weights(self.video_lm, batch, self.loss)
        self.train(was_training)

    def _without_sync(self) -> AbstractContextManager[None]:
        """Keep DDP from a reduction in every backward pass."""
        strategy = self.trainer.strategy
        return strategy.block_backward_sync() if isinstance(strategy, ParallelStrategy) else nullcontext()

    def validation_step(self, batch: ItemBatch, batch_index: int) -> None:
        """Answer a batch of held-out items; the answers go to a log."""
        with explained(self._evaluation):
            self.benchmark_answers.answer(batch, self.video_lm)

    test_step = validation_step

    @property
    def _evaluation(self) -> str:
        """The evaluation at hand, for messages."""
        if self.trainer.state.fn != "fit":
            return "The evaluation"
        if self.trainer.sanity_checking:
            return "The base's evaluation"
        return f"Round {self.current_epoch + 1}, its evaluation"
