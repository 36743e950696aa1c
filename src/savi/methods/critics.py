"""The critics of the answers: the model itself (VideoSAVi, section 3), and those that it is compared with.

Each is a strategy over a whole batch. `savi.critique.truth` has the critic who knows the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from savi.critique.critics import NOTHING, AnswerToCritique, Critic
from savi.critique.round import Round
from savi.critique.truth import Truth
from savi.errors import SaviError
from savi.inference import Reply, Session, VideoModel
from savi.models.load import BaseSettings, load_known
from savi.types import Clip, Frames, Sampling

__all__ = ["Another", "Critic", "Itself", "OtherClip", "Shuffled", "TextOnly", "Truth"]

EMPTY = Clip("an empty video", Path("an empty video"))
EMPTY_FRAMES, EMPTY_SIDE, EMPTY_FPS = 32, 112, 8.0


class Itself(Critic):
    """The model that answered, with the same clip in view."""

    def critique(
        self, session: Session, answers: Sequence[AnswerToCritique], sampling: Sampling, round: Round
    ) -> list[Reply]:
        return session.generate([one.request for one in answers], sampling)


class Another(Critic):
    """A second checkpoint, which encodes the clips itself.

    Args:
        base: Its folder or hub name.
    """

    def __init__(self, base: str) -> None:
        self.base = base

    def check(self, clips: Sequence[Clip], batch_clips: int, frames: int) -> None:
        try:
            load_known(BaseSettings(path=self.base), frames)
        except SaviError as error:
            reason = str(error).removeprefix("model.base.path: ")
            raise SaviError(f"model.pairs.init_args.critic.init_args.base: {reason}") from None

    def is_cached(self, clip: Clip, round: Round) -> bool:
        return round.load(self.base).is_cached(clip)

    def critique(
        self, session: Session, answers: Sequence[AnswerToCritique], sampling: Sampling, round: Round
    ) -> list[Reply]:
        seen = round.load(self.base).encode(session.clips, session.frames)
        return seen.generate([one.request for one in answers], sampling)


class TextOnly(Critic):
    """The model that answered, which reads question and answer and sees an empty video: it judges by text alone."""

    def is_cached(self, clip: Clip, round: Round) -> bool:
        return True

    def critique(
        self, session: Session, answers: Sequence[AnswerToCritique], sampling: Sampling, round: Round
    ) -> list[Reply]:
        blind = encode_empty_videos(round.model, len(session.clips))
        return blind.generate([one.request for one in answers], sampling)


class WithinBatch(Critic):
    """A critic that needs the other clips of the batch."""

    within_batch = True

    def check(self, clips: Sequence[Clip], batch_clips: int, frames: int) -> None:
        if batch_clips < 2:
            raise SaviError(f"{type(self).__name__} needs data.generation_batch_clips of at least 2")


class OtherClip(WithinBatch):
    """The model with the batch's next clip in view: a control. A clip that is alone in its batch gets no critique."""

    def critique(
        self, session: Session, answers: Sequence[AnswerToCritique], sampling: Sampling, round: Round
    ) -> list[Reply]:
        count = len(session.clips)
        if count == 1:
            return [NOTHING for _ in answers]
        requests = [replace(one.request, clip=(one.request.clip + 1) % count) for one in answers]
        return session.generate(requests, sampling)


class Shuffled(WithinBatch):
    """The model's own critiques, each handed on to a question of the next clip: a control."""

    def critique(
        self, session: Session, answers: Sequence[AnswerToCritique], sampling: Sampling, round: Round
    ) -> list[Reply]:
        written = session.generate([one.request for one in answers], sampling)
        by_clip: dict[int, list[int]] = {}
        for index, one in enumerate(answers):
            by_clip.setdefault(one.request.clip, []).append(index)
        groups, handed = list(by_clip.values()), [NOTHING for _ in answers]
        if len(groups) > 1:
            for group, before in zip(groups, [groups[-1], *groups[:-1]], strict=True):
                for rank, index in enumerate(group):
                    handed[index] = written[before[rank % len(before)]]
        return handed


def encode_empty_videos(model: VideoModel, count: int) -> Session:
    """A session on `count` empty videos."""
    frames = Frames(
        pixels=torch.zeros(EMPTY_FRAMES, EMPTY_SIDE, EMPTY_SIDE, 3, dtype=torch.uint8),
        timestamps=tuple(index / EMPTY_FPS for index in range(EMPTY_FRAMES)),
        indices=tuple(range(EMPTY_FRAMES)),
        fps=EMPTY_FPS,
        duration=EMPTY_FRAMES / EMPTY_FPS,
    )
    return model.encode([EMPTY] * count, [frames] * count)
