"""Who criticises the answers: the model itself (VideoSAVi, section 3), and whoever it is compared with.

Each is a strategy over a whole batch. Beside the model itself stand another model, a reader who never sees the clip,
two controls whose critiques belong to other clips, and (in `savi.critique.truth`) whoever knows the truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import torch

from savi.types import Branch, Clip, Frames, Question, Reply, Sampling, SaviError, VideoModel

NOTHING = Reply("", 0, 0.0, finished=True)
"""No critique at all: it can't be parsed, so its question leaves the chain and is counted."""

EMPTY = Clip("an empty film", Path("an empty film"))
EMPTY_FRAMES, EMPTY_SIDE, EMPTY_FPS = 32, 112, 8.0


@dataclass(frozen=True)
class CriticSettings:
    """The critic of the answers. Whoever it is, the model itself revises them, with the clip in view."""

    who: Literal["itself", "another", "text", "other_clip", "shuffled", "truth"] = "itself"
    """`itself` is the method. `another` is a second checkpoint, `text` the model with an empty film, so that it judges
    by text alone. `other_clip`, the model with the batch's next clip, and `shuffled`, the model's own critiques handed
    on to the next clip's questions, are controls. `truth` is the rendered world's own truth: a ceiling for experiments
    on it, no self-alignment."""

    base: str = ""
    """Folder or hub name of the second checkpoint. For the critic `another`, and for no other."""

    def __post_init__(self) -> None:
        if (self.who == "another") != bool(self.base):
            raise SaviError("model.chain.critic.base: a second checkpoint goes with who=another, and only with it")


@dataclass(frozen=True)
class Sitting:
    """A batch of clips with the model before them: (clips,) each. frames: None where the models have kept a clip."""

    clips: Sequence[Clip]
    frames: Sequence[Frames | None]
    watched: Any


@dataclass(frozen=True)
class Draft:
    """An answer to be criticised. branch: the prompt that asks for it, on the sitting's clip."""

    question: str
    answer: str
    branch: Branch


class Critic(Protocol):
    """What the chain asks of a critic."""

    def is_kept(self, clip: Clip) -> bool:
        """Whether it can do without this clip's frames."""
        ...

    def criticise(self, sitting: Sitting, drafts: Sequence[Draft], sampling: Sampling) -> list[Reply]:
        """A critique of every draft, in their order."""
        ...


class Itself:
    """The model that answered, with the same clip before it."""

    def __init__(self, model: VideoModel) -> None:
        self.model = model

    def is_kept(self, clip: Clip) -> bool:
        return self.model.is_kept(clip)

    def criticise(self, sitting: Sitting, drafts: Sequence[Draft], sampling: Sampling) -> list[Reply]:
        return self.model.generate(self.view(sitting), [draft.branch for draft in drafts], sampling)

    def view(self, sitting: Sitting) -> Any:
        """The clips as this critic watches them."""
        return sitting.watched


class Another(Itself):
    """A model of its own, which watches the clips itself."""

    def view(self, sitting: Sitting) -> Any:
        return self.model.watch(sitting.clips, sitting.frames)


class TextReader(Itself):
    """A model that reads question and answer and never sees the clip: the film before it is empty."""

    def is_kept(self, clip: Clip) -> bool:
        return True

    def view(self, sitting: Sitting) -> Any:
        return watch_nothing(self.model, len(sitting.clips))


class OfOtherClip(Itself):
    """The model with the batch's next clip before it: a control. A clip that is alone in its batch gets NOTHING."""

    def criticise(self, sitting: Sitting, drafts: Sequence[Draft], sampling: Sampling) -> list[Reply]:
        count = len(sitting.clips)
        if count == 1:
            return [NOTHING for _ in drafts]
        branches = [replace(draft.branch, clip=(draft.branch.clip + 1) % count) for draft in drafts]
        return self.model.generate(sitting.watched, branches, sampling)


class Shuffled(Itself):
    """The model's own critiques, each handed on to a question of the next clip: a control."""

    def criticise(self, sitting: Sitting, drafts: Sequence[Draft], sampling: Sampling) -> list[Reply]:
        written = super().criticise(sitting, drafts, sampling)
        by_clip: dict[int, list[int]] = {}
        for index, draft in enumerate(drafts):
            by_clip.setdefault(draft.branch.clip, []).append(index)
        groups, handed = list(by_clip.values()), [NOTHING for _ in drafts]
        if len(groups) > 1:
            for group, before in zip(groups, [groups[-1], *groups[:-1]], strict=True):
                for rank, index in enumerate(group):
                    handed[index] = written[before[rank % len(before)]]
        return handed


def watch_nothing(model: VideoModel, count: int) -> Any:
    """A batch of `count` empty films."""
    frames = Frames(
        pixels=torch.zeros(EMPTY_FRAMES, EMPTY_SIDE, EMPTY_SIDE, 3, dtype=torch.uint8),
        timestamps=tuple(index / EMPTY_FPS for index in range(EMPTY_FRAMES)),
        indices=tuple(range(EMPTY_FRAMES)),
        fps=EMPTY_FPS,
        duration=EMPTY_FRAMES / EMPTY_FPS,
    )
    return model.watch([EMPTY] * count, [frames] * count)


def prefer_by_text(model: VideoModel, questions: Sequence[Question]) -> list[int]:
    """Which response of each question a judge prefers who reads the text and never sees the clip.

    After LLaVA-Hound-DPO (Zhang et al. 2024), where a language model ranks sampled answers. Here the judge is the
    frozen reference before an empty film, and prefers the response that it finds likelier a token.
    """
    if not questions:
        return []
    watched = watch_nothing(model, 1 + max(question.clip for question in questions))
    scores = model.score_reference(watched, questions)
    means = iter((scores.logps / scores.lengths).tolist())
    ranked = [[next(means) for _ in question.responses] for question in questions]
    return [likelihoods.index(max(likelihoods)) for likelihoods in ranked]
