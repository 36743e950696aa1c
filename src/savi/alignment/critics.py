"""The critic that an experiment asks for, from its settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
from savi.inference import VideoModel
from savi.models.load import BaseSettings, load_known
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


def build_critic(
    settings: CriticSettings, model: VideoModel, another: Callable[[str], VideoModel], clips: Sequence[Clip]
) -> Critic:
    """model: the one that is aligned. another: loads the model of a path, for a critic of its own."""
    match settings.kind:
        case "truth":
            return TruthCritic(clips)
        case "another":
            return OtherModelCritic(another(settings.base))
        case "text":
            return TextOnlyCritic(model)
        case "other_clip":
            return OtherClipCritic(model)
        case "shuffled":
            return ShuffledCritic(model)
    return SelfCritic(model)
