"""The critic who knows the truth: an experiment's ceiling, and no self-alignment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from savi.critique.critics import NOTHING, AnswerToCritique, Critic
from savi.critique.round import Round
from savi.inference import Reply, Session
from savi.types import Clip, Sampling
from savi.world.oracle import scene_of_clip, true_critique


class Truth(Critic):
    """The rendered world's own truth: a ceiling for experiments on it. A question without a true answer gets no
    critique. Not for other clips."""

    measured = False
    note = "The critic knows the truth: this run shows a ceiling, and is no self-alignment."
    without_effect: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("data.readiness_clips", "data.labelled"), "there is no readiness check"),
        "model.chain.critique": "the truth isn't sampled",
        "model.prompts.texts.critique": "the truth isn't asked for",
    }

    def check(self, clips: Sequence[Clip], batch_clips: int, frames: int) -> None:
        for clip in clips:
            scene_of_clip(clip)

    def is_cached(self, clip: Clip, round: Round) -> bool:
        return True

    def critique(
        self, session: Session, answers: Sequence[AnswerToCritique], sampling: Sampling, round: Round
    ) -> list[Reply]:
        critiques = [true_critique(session.clips[one.request.clip], one.question, one.answer) for one in answers]
        return [NOTHING if text is None else Reply(text, 0, 0.0, finished=True) for text in critiques]
