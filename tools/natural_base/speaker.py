"""A pupil that speaks about scenes, and the critique chain with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from savi.inference import GenerateRequest
from savi.models.packed import PackedClips
from savi.types import Clip, Sampling, derive_seed
from savi.world.natural import NATURAL
from savi.world.questions import Query
from savi.world.scenes import Scene
from tools.natural_base.film import pixels, shoot
from tools.natural_base.lessons import PROMPTS, Exchange
from tools.natural_base.pupil import Pupil

BATCH = 8
"""Scenes whose questions are answered together."""
ANSWER_TOKENS, CRITIQUE_TOKENS = 32, 96
"""Most tokens of a reply, as in experiments/natural.yaml."""


class Speaker:
    """Speaks greedily, or from what the model thinks likely."""

    def __init__(self, pupil: Pupil, scenes: Sequence[Scene]) -> None:
        self.pupil = pupil
        with torch.no_grad():
            tokens = [
                pupil.watch(pixels(shoot(scene, pupil.processor).numpy()[None], pupil.processor))[0] for scene in scenes
            ]
            self.tokens = tokens
            self.prefixes = [pupil.prefix(one) for one in tokens]

    def say(self, clips: Sequence[int], prompts: Sequence[str], tokens: int, temperature: float = 0) -> list[str]:
        """One reply per prompt. clips: the index of the scene of each, in ascending order."""
        replies: list[str] = []
        for start in range(0, len(self.prefixes), BATCH):
            some = [at for at, clip in enumerate(clips) if start <= clip < start + BATCH]
            if not some:
                continue
            prefixes = self.prefixes[start : start + BATCH]
            read = PackedClips(
                self.pupil.model,
                self.pupil.chat,
                [Clip(str(index), Path()) for index in range(len(prefixes))],
                prefixes,
            )
            requests = [GenerateRequest(clips[at] - start, prompts[at], derive_seed("said", at)) for at in some]
            written = read.generate(requests, Sampling(temperature=temperature, max_new_tokens=tokens))
            replies += [self.pupil.chat.decode(one.ids) for one in written]
        return replies

    def prefer(self, clip: int, prompt: str, options: Sequence[str]) -> int:
        """The index of the likeliest option."""
        with torch.no_grad():
            logps, _ = self.pupil.logps(self.tokens[clip], [Exchange("", prompt, option) for option in options])
        return int(logps.argmax())


@dataclass(frozen=True)
class Said:
    """What was said about one question. clip: the scene's index."""

    clip: int
    query: Query
    answer: str
    critique: str
    revision: str

    def gain(self) -> int:
        """1 where a wrong answer became right, -1 the other way round."""
        return self.right(self.revision) - self.right(self.answer)

    def right(self, reply: str) -> bool:
        return NATURAL.read(self.query, reply) == self.query.answer


def chain(speaker: Speaker, asked: Sequence[tuple[int, Query]], temperature: float = 0) -> list[Said]:
    """Each question, with the index of its scene, through the chain: the answer at `temperature`, the rest greedy."""
    clips = [clip for clip, _ in asked]
    questions = [query.text for _, query in asked]
    prompts = [PROMPTS.answer.format(question=one) for one in questions]
    answers = speaker.say(clips, prompts, ANSWER_TOKENS, temperature)
    pairs = list(zip(questions, answers, strict=True))
    prompts = [PROMPTS.critique.format(question=q, answer=a) for q, a in pairs]
    critiques = speaker.say(clips, prompts, CRITIQUE_TOKENS)
    prompts = [
        PROMPTS.revision.format(question=q, answer=a, critique=c) for (q, a), c in zip(pairs, critiques, strict=True)
    ]
    revisions = speaker.say(clips, prompts, ANSWER_TOKENS)
    return [Said(*one) for one in zip(clips, (q for _, q in asked), answers, critiques, revisions, strict=True)]
