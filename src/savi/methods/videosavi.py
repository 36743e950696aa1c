"""VideoSAVi: the model criticizes and revises its own answers (Kulkarni and Fazli 2025, section 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from savi.critique.chain import CritiqueChain
from savi.critique.critics import Critic
from savi.critique.question_maker import Responses
from savi.critique.round import Round
from savi.critique.turns import CRITIQUE_AND_REVISE, Question
from savi.errors import SaviError
from savi.inference import Session
from savi.methods.base import QuestionMethod
from savi.methods.critics import Itself
from savi.types import ASPECTS, Aspect, Clip


class VideoSAVi(QuestionMethod):
    """Prefers the revision of an answer over the answer.

    Args:
        critic: Who criticizes the answers: {class_path: savi.methods.critics.TextOnly}, or a class of your own. None:
            the model itself.
        aspects: The subjects of the questions.
    """

    without_effect: ClassVar[Mapping[str, str]] = {}

    def __init__(self, critic: Critic | None = None, aspects: tuple[Aspect, ...] = ASPECTS) -> None:
        if not aspects or len(set(aspects)) < len(aspects):
            raise SaviError(f"model.pairs.init_args.aspects must be one or both of {', '.join(ASPECTS)}, each once")
        self.critic = critic
        self.aspects = tuple(aspects)

    @property
    def _critic(self) -> Critic:
        return self.critic or Itself()

    @property
    def note(self) -> str:
        return self._critic.note

    @property
    def within_batch(self) -> bool:
        return self._critic.within_batch

    def check(self, clips: Sequence[Clip], batch_clips: int, frames: int) -> None:
        self._critic.check(clips, batch_clips, frames)

    def is_cached(self, clip: Clip, round: Round) -> bool:
        return round.model.is_cached(clip) and self._critic.is_cached(clip, round)

    def respond(self, session: Session, questions: Sequence[Question], round: Round) -> list[Responses]:
        return self._chain(round).respond(session, questions)

    def measured(self, round: Round) -> CritiqueChain | None:
        return self._chain(round) if self._critic.measured else None

    def _chain(self, round: Round) -> CritiqueChain:
        return CritiqueChain(round, CRITIQUE_AND_REVISE, self._critic)
