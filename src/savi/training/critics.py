"""The critic that an experiment asks for, from its settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lightning.pytorch.utilities import rank_zero_info

from savi.critique.critics import (
    Critic,
    CriticSettings,
    OtherClipCritic,
    OtherModelCritic,
    SelfCritic,
    ShuffledCritic,
    TextOnlyCritic,
)
from savi.critique.truth import TruthCritic
from savi.models.adapters import attach_lora
from savi.models.load import BaseSettings, load_base, load_known
from savi.models.video_lm import VideoLM
from savi.training.aligned_model import AlignedModel
from savi.types import Clip, SaviError


def check_critic(settings: CriticSettings, clips: Sequence[Clip], generation_batch_clips: int, frames: int) -> None:
    """Raises SaviError for a critic that can't criticize these clips, before a model is loaded. frames: of a clip."""
    if settings.kind in ("other_clip", "shuffled") and generation_batch_clips < 2:
        raise SaviError(f"model.chain.critic.kind: {settings.kind} needs data.generation_batch_clips of at least 2")
    if settings.kind == "truth":
        TruthCritic(clips)
    if settings.base:
        try:
            load_known(BaseSettings(path=settings.base), frames)
        except SaviError as error:
            raise SaviError(f"model.chain.critic.base: {str(error).removeprefix('model.base.path: ')}") from None


def build_critic(module: AlignedModel, clips: Sequence[Clip]) -> Critic:
    """A second checkpoint is loaded in the precision of the first, and goes where that one is."""
    settings, model = module.chain_settings.critic, module.video_lm
    match settings.kind:
        case "truth":
            rank_zero_info("The critic knows the truth: this run shows a ceiling, and is no self-alignment.")
            return TruthCritic(clips)
        case "another":
            loaded = load_base(
                replace(module.base_settings, path=settings.base, gradient_checkpointing=False), module.frames
            )
            adapted = attach_lora(loaded.model, loaded.family, module.lora_settings)  # it starts as no change at all
            adapted.to(model.device)
            return OtherModelCritic(
                VideoLM(loaded, adapted.eval(), prefix_cache=module.prefix_cache, sampled_as=module.sampled_as)
            )
        case "text":
            return TextOnlyCritic(model)
        case "other_clip":
            return OtherClipCritic(model)
        case "shuffled":
            return ShuffledCritic(model)
    return SelfCritic(model)
