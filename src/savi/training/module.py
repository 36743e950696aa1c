"""The LightningModule: DPO steps on the model's own pairs, and held-out multiple choice."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn

import torch
from lightning import Callback, LightningModule
from lightning.pytorch.strategies import ParallelStrategy
from torch import Tensor
from torch.nn.utils import get_total_norm

from savi.critique.filters import FilterSettings
from savi.critique.settings import ChainSettings
from savi.data.batches import ItemBatch, MicroBatch, OptimizerStep
from savi.distributed.collectives import all_gather, all_reduce_gradients, all_reduce_sum, from_rank_zero
from savi.errors import NonFiniteError
from savi.inference import ResponseScores, ScoreRequest
from savi.models.adapters import LoraSettings, attach_lora, trainable_state
from savi.models.load import BaseSettings, fingerprint, load_base
from savi.models.prefix_cache import PrefixCacheSettings
from savi.models.session import Reference
from savi.models.video_lm import VideoLM
from savi.objective.dpo import DPOSettings, loss_of_scores, reward_metrics
from savi.prompts.templates import PromptSettings
from savi.training.benchmarks import BenchmarkAnswers
from savi.training.checkpoints import RunCheckpoint
from savi.training.finite import explained, name_clips
from savi.training.limits import RunLimits
from savi.training.optim import OptimizerSettings, apply_settings, build_optimizer
from savi.training.results import RunResults
from savi.training.self_critique import SelfCritique
from savi.training.trainer_arguments import check_trainer
from savi.types import PreferencePair, Sampling, SaviError, derive_seed


class SelfAlignment(LightningModule):
    """A video-LLM that is aligned by its own criticism (VideoSAVi).

    Args:
        base: The frozen base model.
        lora: The adapter, which is all that is trained.
        dpo: The preference objective.
        optimizer: The optimizer of the adapter's weights.
        chain: The turns that make a pair: question, answer, critique, revision.
        filters: Bounds of the filters that keep bad replies out of the pairs.
        prompts: The prompts of the turns.
        reference: Model whose log-probabilities DPO compares with. `base` is the model without its adapter, `previous`
            the model at the end of the round before.
        reply: Decoding of the free-form replies in evaluations. Greedy by default.
        prefix_cache: Where the prefixes of encoded clips are kept.
        frames: Frames per clip; the command line takes data.frames.
        max_pixels: Most pixels per frame; the command line takes data.max_pixels.
        seed: Seed of the chain, of the adapter's first weights and of dropout; the command line takes seed_everything.
    """

    def __init__(
        self,
        base: BaseSettings,
        lora: LoraSettings,
        dpo: DPOSettings,
        optimizer: OptimizerSettings,
        chain: ChainSettings,
        filters: FilterSettings,
        prompts: PromptSettings,
        reference: Reference = "base",
        reply: Sampling = Sampling(temperature=0.0, max_new_tokens=64),  # noqa: B008 (frozen)
        prefix_cache: PrefixCacheSettings = PrefixCacheSettings(),  # noqa: B008 (frozen)
        frames: int = 32,
        max_pixels: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.base_settings = base
        self.lora_settings = lora
        self.dpo_settings = dpo
        self.optimizer_settings = optimizer
        self.chain_settings = chain
        self.filter_settings = filters
        self.prompts = prompts.build()
        self.reference: Reference = reference
        self.reply = reply
        self.prefix_cache = prefix_cache
        self.frames = frames
        self.sampled_as = f"{frames} frames, at most {max_pixels} pixels"
        self.seed = seed
        # One Lightning batch is one optimizer step, cut into passes of unlike size: the accumulation is our own.
        self.automatic_optimization = False
        # Checkpoints hold the adapter alone.
        self.strict_loading = False
        self.lm: VideoLM | None = None
        self.self_critique = SelfCritique()
        self.benchmark_answers = BenchmarkAnswers()

    def setup(self, stage: str) -> None:
        if self.trainer.precision != "32-true":
            # Prefixes that were kept on disk in another precision are not taken.
            self.sampled_as += f", {self.trainer.precision}"

    def configure_model(self) -> None:
        if self.lm is not None:
            return
        loaded = load_base(self.base_settings, self.frames)
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            self.peft_model = attach_lora(loaded.model, loaded.family, self.lora_settings)
        self.base_weights = loaded.weights
        self.lm = VideoLM(loaded, self.peft_model, self.reference, self.prefix_cache, self.sampled_as)

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

    @property
    def video_lm(self) -> VideoLM:
        if self.lm is None:
            raise RuntimeError("the model isn't loaded yet: configure_model() comes first")
        return self.lm

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """The adapter's weights, never the base's."""
        return trainable_state(self)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["base"] = {
            "path": self.base_settings.path,
            "fingerprint": self.base_fingerprint(),
            "weights": self.base_weights,
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        base = checkpoint.get("base", {"path": "a model savi doesn't know", "fingerprint": None})
        if base["fingerprint"] != self.base_fingerprint():
            raise SaviError(
                f"the checkpoint belongs to another model: it was made over {base['path']}, "
                f"which is not {self.base_settings.path} (model.base.path)"
            )
        weights = base.get("weights")  # older checkpoints have none, and neither have bases outside safetensors
        if weights and self.base_weights and weights != self.base_weights:
            raise SaviError(
                f"model.base.path: {self.base_settings.path} has the embeddings of {base['path']}, over which the "
                "checkpoint was made, and other weights: it is another model"
            )
        here, there = trainable_state(self), checkpoint["state_dict"]
        if {k: v.shape for k, v in here.items()} != {k: v.shape for k, v in there.items()}:
            raise SaviError("the checkpoint's adapter has another shape than this run's: check model.lora")

    def base_fingerprint(self) -> str:
        """See :func:`savi.models.load.fingerprint`."""
        return fingerprint(self.video_lm.model)
