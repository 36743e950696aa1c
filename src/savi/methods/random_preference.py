"""A control: VideoSAVi's pairs with a preference that says nothing."""

from __future__ import annotations

import random
from collections.abc import Sequence

from savi.critique.round import Round
from savi.critique.turns import Question
from savi.inference import ScoreRequest, Session
from savi.methods.videosavi import VideoSAVi
from savi.types import derive_seed


class RandomPreference(VideoSAVi):
    """VideoSAVi's pairs of answer and revision, of which one is preferred at random. Nothing should be learned.

    Args:
        critic: Who criticizes the answers. None: the model itself.
        aspects: The subjects of the questions.
    """

    def swapped(
        self, session: Session, questions: Sequence[Question], pairs: Sequence[ScoreRequest], round: Round
    ) -> list[bool]:
        return [random.Random(derive_seed(one.clip_seed, one.key)).random() < 0.5 for one in questions]
