"""Two sampled answers to each question, of which a judge prefers one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from savi.critique.chain import CritiqueChain
from savi.critique.question_maker import Responses
from savi.critique.round import Round
from savi.critique.turns import ANSWER_TWICE, Question
from savi.inference import ResponseScores, Session
from savi.methods.base import NO_CHECK, NO_CRITIC, QuestionMethod


class TwoSamples(QuestionMethod):
    """Prefers the second of two answers that are sampled alike: a control. With `swapped` a subclass has a judge."""

    without_effect: ClassVar[Mapping[str, str]] = {**NO_CHECK, **NO_CRITIC}

    def respond(self, session: Session, questions: Sequence[Question], round: Round) -> list[Responses]:
        return CritiqueChain(round, ANSWER_TWICE).respond(session, questions)


def second_is_likelier(scores: ResponseScores) -> list[bool]:
    """Whether the second response of each pair has the higher log-probability per token.

    scores: of both responses of each pair in turn.
    """
    first, second = (scores.logps / scores.lengths).view(-1, 2).unbind(1)
    return [bool(likelier) for likelier in (second > first).tolist()]
