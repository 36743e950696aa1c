"""The LightningModule: DPO steps on the model's own pairs, and held-out multiple choice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn

import torch
from lightning import Callback
from lightning.pytorch.strategies import ParallelStrategy
from torch import Tensor
from torch.nn.utils import get_total_norm

from savi.data.batches import ItemBatch, MicroBatch, OptimizerStep
from savi.distributed.collectives import all_gather, all_reduce_gradients, all_reduce_sum, from_rank_zero
from savi.errors import NonFiniteError
from savi.inference import ResponseScores, ScoreRequest
from savi.objective.dpo import loss_of_scores, reward_metrics
from savi.training.aligned_model import AlignedModel
from savi.training.benchmarks import BenchmarkAnswers
from savi.training.checkpoints import RunCheckpoint
from savi.training.finite import explained, name_clips
from savi.training.limits import RunLimits
from savi.training.optim import apply_settings, build_optimizer
from savi.training.results import RunResults
from savi.training.self_critique import SelfCritique
from savi.training.trainer_arguments import check_trainer
from savi.types import PreferencePair, derive_seed


class SelfAlignment(AlignedModel):
    """A video-LLM that is aligned by its own criticism (VideoSAVi). What Lightning asks of whom, in order:

    1. Before the first round, all held-out items: `validation_step` measures the base, and `RunResults` writes it down.
    2. Each round begins with `ClipDataModule.train_dataloader`, which asks `self.self_critique` for the round's pairs.
       `SelfCritique` lets a `PairBuilder` take every clip through the `CritiqueChain`, with the model of this moment:
       questions, answers, critiques, revisions, and the reference's log-probabilities of both responses.
    3. `training_step` takes one optimizer step per batch: the DPO loss of the step's pairs, over all its clips.
    4. At the round's end `validation_step` measures the model again, `RunCheckpoint` keeps it, and the next round's
       pairs are built with it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.self_critique = SelfCritique()
        self.benchmark_answers = BenchmarkAnswers()

    def configure_callbacks(self) -> list[Callback]:
        # Lightning asks for callbacks before it prepares data or loads a model.
        check_trainer(self.trainer, self.base_settings)
        callbacks: list[Callback] = [
            self.self_critique,
            self.benchmark_answers,
            RunResults(self.benchmark_answers, self.self_critique),
            RunLimits(),
        ]
        checkpoints = self.trainer.checkpoint_callbacks
        if not any(isinstance(callback, RunCheckpoint) for callback in checkpoints):
            # Lightning takes a subclass of ModelCheckpoint for a replacement of the user's own, which stay.
            callbacks += [*checkpoints, RunCheckpoint()]
        return callbacks

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
        """One optimizer step: the loss is the mean over the step's pairs, summed up over passes and processes.

        A process may have fewer passes than another, or none: gradients are summed once, at the end. Raises
        NonFiniteError, in all processes, before the optimizer takes a value that isn't finite.
        """
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        # A step's dropout depends on the run and the step alone, so that a resumed run draws the same.
        torch.manual_seed(derive_seed(self.seed, "dropout", self.global_step, self.global_rank))
        nothing = ResponseScores(torch.zeros(0, device=self.device), torch.zeros(0, device=self.device))
        means = {name: values.sum() for name, values in self._metrics((), nothing).items()}
        losses: list[Tensor] = []
        with self._without_sync():
            for micro in batch.micro_batches:
                metrics = self._pair_losses(micro)
                self.manual_backward(metrics["loss"].sum() / batch.pairs)
                losses.append(metrics["loss"].detach())
                for name, values in metrics.items():
                    means[name] = means[name] + values.detach().sum() / batch.pairs
        adapter = [p for p in self.parameters() if p.requires_grad]
        all_reduce_gradients(adapter)
        means = all_reduce_sum(means)
        self._check_step(batch, losses, means, adapter)
        if self.optimizer_settings.clip_norm:
            self.clip_gradients(optimizer, self.optimizer_settings.clip_norm, "norm")
        optimizer.step()
        if self.trainer.is_last_batch:
            self._try_weights(batch)
        schedule: Any = self.lr_schedulers()
        schedule.step()
        bar = ("loss", "rewards/accuracies", "rewards/margins")
        self.log_dict({k: v for k, v in means.items() if k in bar}, prog_bar=True, batch_size=batch.pairs)
        self.log_dict({k: v for k, v in means.items() if k not in bar}, batch_size=batch.pairs)

    def _check_step(
        self, batch: OptimizerStep, losses: Sequence[Tensor], means: Mapping[str, Tensor], adapter: Sequence[Tensor]
    ) -> None:
        """Refuse a step whose numbers aren't all finite. They are summed over all processes, so that all agree.

        losses: float32 (pairs,), one tensor per pass of this process.
        """
        norm = get_total_norm([p.grad for p in adapter if p.grad is not None])
        numbers = {**means, "gradient norm": norm}
        if torch.stack([number.to(norm) for number in numbers.values()]).isfinite().all():
            return
        name, value = next((name, value.item()) for name, value in numbers.items() if not value.isfinite())
        owners = [pair.clip for micro in batch.micro_batches for pairs in micro.pairs for pair in pairs]
        values = [value for part in losses for value in part.tolist()]
        own = [clip for clip, loss in zip(owners, values, strict=True) if not math.isfinite(loss)]
        broken = [clip for clips in all_gather(lambda: own, "training") for clip in clips]
        clips = broken or [clip for clips in all_gather(lambda: owners, "training") for clip in clips]

        def refuse() -> NoReturn:
            raise NonFiniteError(f"the {name} is {value} ({name_clips(clips)})")

        with explained(f"Round {self.current_epoch + 1}, step {self.global_step + 1}"):
            from_rank_zero(refuse, "training")

    def _try_weights(self, batch: OptimizerStep) -> None:
        """Score the last step's own pairs with the weights that it gave, before a checkpoint is made of them.

        Weights may be finite and give nothing that is: those of a step that was far too long.
        """
        was_training = self.training
        self.eval()
        with torch.no_grad(), explained(f"Round {self.current_epoch + 1}, after its last step {self.global_step}"):
            ours = batch.micro_batches[:1]
            all_gather(lambda: [self._pair_losses(micro)["loss"].tolist() for micro in ours], "training")
        self.train(was_training)

    def _without_sync(self) -> AbstractContextManager[None]:
        """Keep DDP from a reduction in every backward pass."""
        strategy = self.trainer.strategy
        return strategy.block_backward_sync() if isinstance(strategy, ParallelStrategy) else nullcontext()

    def _pair_losses(self, micro: MicroBatch) -> dict[str, Tensor]:
        """Loss and reward metrics of every pair of a pass, float32 (pairs,) each."""
        lm = self.video_lm
        pairs = [pair for clip_pairs in micro.pairs for pair in clip_pairs]
        requests = [
            ScoreRequest(index, pair.prompt, (pair.chosen, pair.rejected))
            for index, clip_pairs in enumerate(micro.pairs)
            for pair in clip_pairs
        ]
        return self._metrics(pairs, lm.encode(micro.clips, micro.decoded()).score(requests))

    def _metrics(self, pairs: Sequence[PreferencePair], scores: ResponseScores) -> dict[str, Tensor]:
        """Loss and reward metrics of pairs from the scores of chosen and rejected in turn, float32 (pairs,) each."""
        reference = torch.tensor(
            [(pair.reference_chosen_logp, pair.reference_rejected_logp) for pair in pairs], device=self.device
        ).view(-1, 2)
        losses = loss_of_scores(scores, reference, self.dpo_settings)
        return {"loss": losses.losses, **reward_metrics(losses)}

    def validation_step(self, batch: ItemBatch, batch_index: int) -> None:
        """Answer a batch of held-out items; the answers go to a log."""
        with explained(self._evaluation):
            self.benchmark_answers.answer(batch, self.video_lm)

    @property
    def _evaluation(self) -> str:
        """The evaluation at hand, for messages."""
        if self.trainer.state.fn != "fit":
            return "The evaluation"
        if self.trainer.sanity_checking:
            return "The base's evaluation"
        return f"Round {self.current_epoch + 1}, its evaluation"
