"""i-SRT: of two sampled answers the model itself prefers one, with the clip in view (Ahn et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence

from savi.critique.round import Round
from savi.critique.turns import Question
from savi.inference import ScoreRequest, Session
from savi.methods.two_samples import TwoSamples, second_is_likelier


class ISRT(TwoSamples):
    """Prefers the sampled answer that the model of the round finds likelier per token with the clip in view.

    In i-SRT the model writes down its judgment of both answers. Here its likelihoods judge, as in :class:`Hound`.
    """

    def swapped(
        self, session: Session, questions: Sequence[Question], pairs: Sequence[ScoreRequest], round: Round
    ) -> list[bool]:
        return second_is_likelier(session.score(pairs)) if pairs else []
