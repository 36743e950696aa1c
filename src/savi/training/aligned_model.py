"""The model that a run aligns: loaded from its settings, and kept in checkpoints."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from lightning import LightningModule
from lightning.pytorch.utilities import rank_zero_info

from savi.alignment.optim import OptimizerSettings
from savi.cache import cache_folder
from savi.critique.filters import FilterSettings
from savi.critique.own_filters import PairFilter, names_of
from savi.critique.settings import ChainSettings
from savi.methods import PairMethod, VideoSAVi
from savi.models.adapters import LoraSettings, attach_lora, trainable_state
from savi.models.load import BaseSettings, LoadedBase, load_base
from savi.models.prefix_cache import PrefixCacheSettings, open_prefix_folder
from savi.models.session import Reference
from savi.models.video_lm import VideoLM
from savi.models.weights import fingerprint
from savi.objective.dpo import DPOSettings
from savi.objective.losses import Loss, PairLoss
from savi.prompts.templates import PromptSettings
from savi.types import Clip, Frames, Sampling, SaviError
from savi.video.shrink import SHRUNK_BY

if TYPE_CHECKING:
    from peft import PeftModel


class AlignedModel(LightningModule):
    """The frozen base, its adapter, and the settings of a run; checkpoints hold the adapter alone.

    Args:
        base: The frozen base model.
        lora: The adapter, which is all that is trained.
        dpo: The preference objective.
        loss: Another loss: {class_path: sft}, or a class of your own. None: the preference objective.
        optimizer: The optimizer of the adapter's weights.
        chain: The turns: question, answer, critique, revision.
        filters: Bounds of the filters that keep bad replies out of the pairs.
        own_filters: More filters, classes of your own: [{class_path: my_module.MyFilter}] (docs/methods.md).
        prompts: The prompts of the turns.
        pairs: What makes the pairs: {class_path: videosavi}, another method of docs/methods.md, or a class of your own.
        reference: Model whose log-probabilities DPO compares with. `base` is the model without its adapter, `previous`
            the model at the end of the round before.
        reply: Decoding of the free-form replies in evaluations. Greedy by default.
        prefix_cache: Where the prefixes of encoded clips are kept.
        cache: Folder for what can be made again; the command line takes data.cache.
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
        loss: Loss | None = None,
        pairs: PairMethod | None = None,
        own_filters: list[PairFilter] | None = None,
        reference: Reference = "base",
        reply: Sampling = Sampling(temperature=0.0, max_new_tokens=64),  # noqa: B008 (frozen)
        prefix_cache: PrefixCacheSettings = PrefixCacheSettings(),  # noqa: B008 (frozen)
        cache: str | None = None,
        frames: int = 32,
        max_pixels: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.base_settings = base
        self.lora_settings = lora
        self.loss: PairLoss = loss or dpo
        self.optimizer_settings = optimizer
        self.chain_settings = chain
        self.filter_settings = filters
        self.own_filters: Sequence[PairFilter] = own_filters or ()
        names_of(self.own_filters)
        self.prompts = prompts.build()
        self.pair_method = pairs or VideoSAVi()
        self.reference: Reference = reference
        self.reply = reply
        self.prefix_mib, self.prefix_folder = prefix_cache.mib, open_prefix_folder(prefix_cache, cache_folder(cache))
        self.frames = frames
        self.refusable_pixels = max_pixels
        self.sampled_as = f"{frames} frames, at most {max_pixels} pixels"
        if max_pixels is not None:
            self.sampled_as += f", {SHRUNK_BY}"
        self.seed = seed
        # One Lightning batch is one optimizer step, cut into passes of unlike size: the accumulation is our own.
        self.automatic_optimization = False
        # Checkpoints hold the adapter alone.
        self.strict_loading = False
        self.lm: VideoLM | None = None

    def setup(self, stage: str) -> None:
        if self.trainer.precision != "32-true":
            # Prefixes that were kept on disk in another precision are not taken.
            self.sampled_as += f", {self.trainer.precision}"

    def configure_model(self) -> None:
        if self.lm is not None:
            return
        # Lightning makes the GPU torch's default device in here. The weights go there at once. All else is the host's:
        # what is read of files and prepared of frames, and the adapter's first weights, which are the same everywhere.
        default = torch.get_default_device()
        with torch.device("cpu"), torch.random.fork_rng():
            gpu = default if default.type != "cpu" else None
            loaded = load_base(self.base_settings, self.frames, self.refusable_pixels, device=gpu)
            rank_zero_info(loaded.way.line)
            torch.manual_seed(self.seed)
            self.peft_model = attach_lora(loaded.model, loaded.family, self.lora_settings)
            self.base_weights = loaded.weights
            self.lm = self._video_lm(loaded, self.peft_model, self.reference)

    @cache  # noqa: B019 (one module per process)
    def load_another(self, path: str) -> VideoLM:
        """A second checkpoint, in the precision and on the device of the first. Its adapter changes nothing."""
        # Whether it thinks is its own affair, whatever the first one is asked.
        settings = replace(self.base_settings, path=path, gradient_checkpointing=False, thought_tokens=None)
        loaded = load_base(settings, self.frames)
        adapted = attach_lora(loaded.model, loaded.family, self.lora_settings)
        adapted.to(self.video_lm.device)
        return self._video_lm(loaded, adapted.eval(), "base")

    def _video_lm(self, base: LoadedBase, adapted: PeftModel, reference: Reference) -> VideoLM:
        kept = self.prefix_mib, self.prefix_folder
        return VideoLM(base, adapted, reference, *kept, self.sampled_as, self.frames_of)

    @abstractmethod
    def frames_of(self, clip: Clip) -> Frames | None:
        """The frames of a clip, decoded here and now; None where its file can't be read."""

    @property
    def video_lm(self) -> VideoLM:
        if self.lm is None:
            raise RuntimeError("the model isn't loaded yet: configure_model() comes first")
        return self.lm

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]  # torch has overloads
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
        """See :func:`savi.models.weights.fingerprint`."""
        return fingerprint(self.video_lm.model)
