"""Methods: what a class must do so that a run learns from its pairs.

Resumption, several processes, the frozen reference's scores, filters, traces and dashboards come with every method.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from savi.critique.builder import PairMaker
from savi.critique.chain import CritiqueChain
from savi.critique.filters import FILTERS
from savi.critique.own_filters import PairFilter, names_of
from savi.critique.plugin import Plugin
from savi.critique.question_maker import QuestionMaker, Responses
from savi.critique.round import Round
from savi.critique.turns import Question
from savi.inference import ScoreRequest, Session
from savi.types import ASPECTS, Aspect, Clip

NO_CHECK = dict.fromkeys(("data.readiness_clips", "data.labelled"), "there is no readiness check")
NO_CRITIC = {
    "model.chain.critique": "nobody criticizes",
    "model.prompts.texts.critique": "nobody criticizes",
    "model.filters.answer_approved": "nobody criticizes",
    "model.filters.cut_critiques": "nobody criticizes",
    "model.chain.revision": "nobody revises",
    "model.prompts.texts.revision": "nobody revises",
    "model.chain.decoding": "nobody revises",
}


class PairMethod(Plugin, ABC):
    """Makes a round's pairs. `model.pairs` in an experiment file names a subclass."""

    without_effect: ClassVar[Mapping[str, str]] = NO_CHECK

    @property
    def within_batch(self) -> bool:
        """Whether a clip's pairs depend on the other clips of its batch."""
        return False

    def check(self, clips: Sequence[Clip], batch_clips: int, frames: int) -> None:
        """Raises SaviError where it can't make pairs of these clips, before a model is loaded. batch_clips: clips of a
        batch. frames: of a clip."""

    @abstractmethod
    def maker(self, round: Round) -> PairMaker:
        """What takes batches of a round's clips and gives their pairs and traces."""

    def filters(self, own: Sequence[PairFilter]) -> Sequence[str]:
        """The names under which a round's losses are counted, in the order in which they are shown. own: the user's
        filters. Raises SaviError for one of these that has no usable names."""
        return (*FILTERS, *names_of(own))

    def measured(self, round: Round) -> CritiqueChain | None:
        """The chain whose criticism the readiness check measures; None: there is no check."""
        return None


class QuestionMethod(PairMethod):
    """Asks about each clip. A subclass says which two responses to a question make a pair."""

    without_effect: ClassVar[Mapping[str, str]] = {
        **NO_CHECK,
        **NO_CRITIC,
        "model.chain.answer_samples": "the method samples answers of its own",
    }

    aspects: Sequence[Aspect] = ASPECTS
    """The subjects of the questions."""

    def is_cached(self, clip: Clip, round: Round) -> bool:
        """Whether it can do without this clip's frames."""
        return round.model.is_cached(clip)

    @abstractmethod
    def respond(self, session: Session, questions: Sequence[Question], round: Round) -> list[Responses]:
        """Two responses to each question, in order. session: the batch of clips that the questions are about."""

    def swapped(
        self, session: Session, questions: Sequence[Question], pairs: Sequence[ScoreRequest], round: Round
    ) -> list[bool]:
        """Whether the rejected response is preferred after all, (pairs,): asked for pairs that the filters have left.

        pairs: each with its chosen and its rejected response.
        """
        return [False] * len(pairs)

    def maker(self, round: Round) -> QuestionMaker:
        return QuestionMaker(self, round)
