"""What the critique chain needs of a critic. `savi.methods.critics` has savi's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from savi.critique.plugin import Plugin
from savi.critique.round import Round
from savi.inference import GenerateRequest, Reply, Session
from savi.types import Clip, Sampling

NOTHING = Reply("", 0, 0.0, finished=True)
"""No critique at all: it can't be parsed, so its question leaves the chain and is counted."""


@dataclass(frozen=True)
class AnswerToCritique:
    """An answer, with the request that asks for its critique. The request's clip is an index into the session's."""

    question: str
    answer: str
    request: GenerateRequest


class Critic(Plugin, ABC):
    """The critic of the answers. Whoever it is, the model itself revises them, with the clip in view."""

    within_batch = False
    """Whether a critique depends on the other clips of its batch."""

    measured = True
    """Whether the readiness check measures its criticism."""

    def check(self, clips: Sequence[Clip], batch_clips: int, frames: int) -> None:
        """Raises SaviError where it can't criticize these clips, before a model is loaded. batch_clips: clips of a
        batch. frames: of a clip."""

    def is_cached(self, clip: Clip, round: Round) -> bool:
        """Whether it can do without this clip's frames."""
        return round.model.is_cached(clip)

    @abstractmethod
    def critique(
        self, session: Session, answers: Sequence[AnswerToCritique], sampling: Sampling, round: Round
    ) -> list[Reply]:
        """A critique of every answer, in their order. session: the answering model's, on the batch's clips."""
