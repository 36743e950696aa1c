"""Hound-DPO: of two sampled answers a judge prefers one who never sees the clip (Zhang et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence

from savi.critique.round import Round
from savi.critique.turns import Question
from savi.inference import ScoreRequest, Session
from savi.methods.critics import encode_empty_videos
from savi.methods.two_samples import TwoSamples, second_is_likelier


class Hound(TwoSamples):
    """Prefers the sampled answer that the frozen reference finds likelier per token with an empty video in view.

    In LLaVA-Hound-DPO a language model ranks the answers by their texts.
    """

    def swapped(
        self, session: Session, questions: Sequence[Question], pairs: Sequence[ScoreRequest], round: Round
    ) -> list[bool]:
        if not pairs:
            return []
        blind = encode_empty_videos(round.model, 1 + max(pair.clip for pair in pairs))
        return second_is_likelier(blind.score_reference(pairs))
