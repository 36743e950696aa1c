"""The critic who knows the truth: an experiment's ceiling, and no self-alignment."""

from __future__ import annotations

from collections.abc import Sequence

from savi.critique.critics import NOTHING, AnswerToCritique
from savi.inference import Reply, Session
from savi.types import Clip, Sampling
from savi.world.oracle import scene_of_clip, true_critique


class TruthCritic:
    """Criticizes with the rendered world's own evidence. A question that has no true answer gets NOTHING.

    Raises SaviError for clips that are not the world's.
    """

    def __init__(self, clips: Sequence[Clip]) -> None:
        for clip in clips:
            scene_of_clip(clip)

    def is_cached(self, clip: Clip) -> bool:
        return True

    def critique(self, session: Session, answers: Sequence[AnswerToCritique], sampling: Sampling) -> list[Reply]:
        critiques = [true_critique(session.clips[one.request.clip], one.question, one.answer) for one in answers]
        return [NOTHING if text is None else Reply(text, 0, 0.0, finished=True) for text in critiques]
