"""The critics of the answers: the model itself (VideoSAVi, section 3), and those that it is compared with.

Each is a strategy over a whole batch. Besides the model itself there are another model, a reader who never sees the
clip, two controls whose critiques belong to other clips, and (in `savi.critique.truth`) the critic who knows the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import torch

from savi.inference import GenerateRequest, Reply, ScoreRequest, Session, VideoModel
from savi.types import Clip, Frames, Sampling, SaviError

NOTHING = Reply("", 0, 0.0, finished=True)
"""No critique at all: it can't be parsed, so its question leaves the chain and is counted."""

EMPTY = Clip("an empty video", Path("an empty video"))
EMPTY_FRAMES, EMPTY_SIDE, EMPTY_FPS = 32, 112, 8.0


@dataclass(frozen=True)
class CriticSettings:
    """The critic of the answers. Whoever it is, the model itself revises them, with the clip in view."""

    kind: Literal["self", "another", "text", "other_clip", "shuffled", "truth"] = "self"
    """`self` is the method. `another` is a second checkpoint, `text` the model with an empty video, so that it judges
    by text alone. `other_clip`, the model with the batch's next clip, and `shuffled`, the model's own critiques handed
    on to the next clip's questions, are controls. `truth` is the rendered world's own truth: a ceiling for experiments
    on it, no self-alignment."""

    base: str = ""
    """Folder or hub name of the second checkpoint. For the critic `another`, and for no other."""

    def __post_init__(self) -> None:
        if (self.kind == "another") != bool(self.base):
            raise SaviError("model.chain.critic.base: a second checkpoint goes with kind=another, and only with it")


@dataclass(frozen=True)
class AnswerToCritique:
    """An answer, with the request that asks for its critique. The request's clip is an index into the session's."""

    question: str
    answer: str
    request: GenerateRequest


class Critic(Protocol):
    """A critic as the chain needs it."""

    def is_cached(self, clip: Clip) -> bool:
        """Whether it can do without this clip's frames."""
        ...

    def critique(self, session: Session, answers: Sequence[AnswerToCritique], sampling: Sampling) -> list[Reply]:
        """A critique of every answer, in their order. session: the answering model's, on the batch's clips."""
        ...


class SelfCritic:
    """The model that answered, with the same clip in view."""

    def __init__(self, model: VideoModel) -> None:
        self.model = model

    def is_cached(self, clip: Clip) -> bool:
        return self.model.is_cached(clip)

    def critique(self, session: Session, answers: Sequence[AnswerToCritique], sampling: Sampling) -> list[Reply]:
        return self.view(session).generate([one.request for one in answers], sampling)

    def view(self, session: Session) -> Session:
        """The clips as this critic sees them."""
        return session


class OtherModelCritic(SelfCritic):
    """A second model, which encodes the clips itself."""

    def view(self, session: Session) -> Session:
        return self.model.encode(session.clips, session.frames)


class TextOnlyCritic(SelfCritic):
    """A model that reads question and answer and never sees the clip: it sees an empty video instead."""

    def is_cached(self, clip: Clip) -> bool:
        return True

    def view(self, session: Session) -> Session:
        return encode_empty_videos(self.model, len(session.clips))


class OtherClipCritic(SelfCritic):
    """The model with the batch's next clip in view: a control. A clip that is alone in its batch gets NOTHING."""

    def critique(self, session: Session, answers: Sequence[AnswerToCritique], sampling: Sampling) -> list[Reply]:
        count = len(session.clips)
        if count == 1:
            return [NOTHING for _ in answers]
        requests = [replace(one.request, clip=(one.request.clip + 1) % count) for one in answers]
        return session.generate(requests, sampling)


class ShuffledCritic(SelfCritic):
    """The model's own critiques, each handed on to a question of the next clip: a control."""

    def critique(self, session: Session, answers: Sequence[AnswerToCritique], sampling: Sampling) -> list[Reply]:
        written = super().critique(session, answers, sampling)
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


def prefer_by_text(model: VideoModel, requests: Sequence[ScoreRequest]) -> list[int]:
    """Index of the response of each request that a judge prefers who reads the text and never sees the clip.

    After LLaVA-Hound-DPO (Zhang et al. 2024), where a language model ranks sampled answers. Here the judge is the
    frozen reference with an empty video in view. It prefers the response with the higher log-probability per token.
    """
    if not requests:
        return []
    session = encode_empty_videos(model, 1 + max(request.clip for request in requests))
    scores = session.score_reference(requests)
    means = iter((scores.logps / scores.lengths).tolist())
    ranked = [[next(means) for _ in request.responses] for request in requests]
    return [likelihoods.index(max(likelihoods)) for likelihoods in ranked]
