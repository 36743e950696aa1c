"""The critique chain: question, answer, critique, revision, all branching from a clip that is watched once.

VideoSAVi, section 3: for each clip the model asks, answers, criticises its answer against the clip and revises it;
the revision is then preferred over the first answer. What the method is compared with differs in who criticises
(`savi.critique.critics`), in what stands beside the first answer, or in which of the two is preferred.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from savi.critique.critics import Critic, Draft, Itself, Sitting, prefer_by_text
from savi.critique.filters import (
    UNPARSABLE,
    FilterSettings,
    refuse_chosen,
    refuse_pair,
    refuse_question,
    refuse_reply,
)
from savi.critique.settings import ChainSettings
from savi.critique.store import ClipResult
from savi.critique.turns import ANSWER, TURNS, Asked, TurnSpec
from savi.prompts.markup import Unparsable
from savi.prompts.questions import parse_questions
from savi.prompts.templates import Prompts
from savi.types import (
    Aspect,
    Branch,
    Clip,
    Frames,
    PreferencePair,
    Question,
    Reply,
    Sampling,
    Trace,
    Turn,
    TurnName,
    VideoModel,
    derive_seed,
    readable,
)

PAIR = "pair"
"""The outcome of a question that became a pair."""


@dataclass
class _Thread:
    """One question on its way through the chain. refused: the filter that took it, None while it is alive."""

    clip: int
    aspect: Aspect
    question: str
    key: str
    turns: list[Turn] = field(default_factory=list)
    replies: dict[str, str] = field(default_factory=dict)
    refused: str | None = None


class CritiqueChain:
    """Takes batches of clips through the chain with one model, under one set of prompts and settings."""

    def __init__(
        self,
        model: VideoModel,
        prompts: Prompts,
        settings: ChainSettings,
        filters: FilterSettings,
        run_seed: int,
        round_index: int,
        critic: Critic | None = None,
    ) -> None:
        """critic: the model itself by default."""
        self.model = model
        self.critic = critic or Itself(model)
        self.prompts = prompts
        self.settings = settings
        self.filters = filters
        self.run_seed = run_seed
        self.round = round_index

    def run(self, clips: Sequence[Clip], frames: Sequence[Frames | None]) -> list[ClipResult]:
        """Pairs and traces of a batch of clips. frames may be None for a clip that the model has kept."""
        sitting = Sitting(clips, frames, self.model.watch(clips, frames))
        seeds = [derive_seed(self.run_seed, self.round, clip.id) for clip in clips]
        threads = self._ask(sitting.watched, seeds)
        for turn in TURNS[self.settings.second]:
            self._take(turn, sitting, [thread for thread in threads if thread.refused is None], seeds)
        for thread in threads:
            if thread.refused is None:
                thread.refused = refuse_pair(
                    thread.replies["answer"], thread.replies[self.settings.second], self.filters
                )
        return self._results(sitting.watched, clips, seeds, threads)

    def _ask(self, watched: Any, seeds: Sequence[int]) -> list[_Thread]:
        """Draw questions of every aspect for every clip; keep the first distinct ones."""
        count = self.settings.questions_per_aspect
        slots = [
            (clip, aspect, index)
            for clip in range(len(watched))
            for aspect in self.settings.aspects
            for index in range(self.settings.question_replies)
        ]
        branches = [
            Branch(clip, self.prompts.ask(aspect, count), derive_seed(seeds[clip], "question", aspect, index))
            for clip, aspect, index in slots
        ]
        replies = self.model.generate(watched, branches, self.settings.question)
        threads: list[_Thread] = []
        asked: dict[int, list[str]] = {}
        kept: Counter[tuple[int, Aspect]] = Counter()
        for (clip, aspect, index), branch, reply in zip(slots, branches, replies, strict=True):
            turn = _turn("question", branch, reply)
            for number, (question, refused) in enumerate(self._questions(reply)):
                if kept[clip, aspect] == count:
                    break
                thread = _Thread(clip, aspect, question, f"{aspect} {index}.{number}", [turn])
                thread.refused = refused or refuse_question(question, asked.setdefault(clip, []))
                if thread.refused is None:
                    asked[clip].append(question)
                    kept[clip, aspect] += 1
                threads.append(thread)
        return threads

    def _questions(self, reply: Reply) -> list[tuple[str, str | None]]:
        """The questions of one reply, each with the filter that takes it."""
        refused = refuse_reply(reply.text, reply.finished, self.filters)
        try:
            return [(question, refused) for question in parse_questions(reply.text, strict=False)]
        except Unparsable:
            return [(reply.text, refused or UNPARSABLE)]

    def _take(self, turn: TurnSpec, sitting: Sitting, threads: Sequence[_Thread], seeds: Sequence[int]) -> None:
        """Take threads one turn further."""
        asked = [
            Asked(thread.clip, thread.question, derive_seed(seeds[thread.clip], turn.name, thread.key), thread.replies)
            for thread in threads
        ]
        for thread, (branch, reply) in zip(threads, self.reply(turn, sitting, asked), strict=True):
            thread.turns.append(_turn(turn.name, branch, reply))
            thread.refused = refuse_reply(reply.text, reply.finished, self.filters)
            try:
                thread.replies[turn.name] = turn.parse(reply.text)
            except Unparsable:
                thread.refused = thread.refused or UNPARSABLE

    def reply(
        self, turn: TurnSpec, sitting: Sitting, asked: Sequence[Asked], sampling: Sampling | None = None
    ) -> list[tuple[Branch, Reply]]:
        """The replies of one turn, each with the prompt on its clip. sampling: the turn's own by default."""
        sampling = sampling or getattr(self.settings, turn.settings)
        branches = [Branch(one.clip, self._prompt(turn, one), one.seed) for one in asked]
        if turn.by == "critic":
            drafts = [
                Draft(one.question, one.replies["answer"], branch) for one, branch in zip(asked, branches, strict=True)
            ]
            replies = self.critic.criticise(sitting, drafts, sampling)
        else:
            replies = self.model.generate(sitting.watched, branches, sampling)
        return list(zip(branches, replies, strict=True))

    def _prompt(self, turn: TurnSpec, asked: Asked | _Thread) -> str:
        template: str = getattr(self.prompts, turn.settings)
        return template.format(question=asked.question, **asked.replies)

    def _results(
        self, watched: Any, clips: Sequence[Clip], seeds: Sequence[int], threads: Sequence[_Thread]
    ) -> list[ClipResult]:
        paired = [thread for thread in threads if thread.refused is None]
        questions = self._directed(paired, seeds)
        scores = self.model.score_reference(watched, questions) if questions else None
        logps, lengths = (scores.logps.tolist(), scores.lengths.tolist()) if scores else ([], [])
        pairs: list[list[PreferencePair]] = [[] for _ in clips]
        for index, (thread, question) in enumerate(zip(paired, questions, strict=True)):
            thread.refused = refuse_chosen(logps[2 * index], lengths[2 * index], self.filters)
            if thread.refused is not None:
                continue
            clip = clips[thread.clip]
            chosen, rejected = question.responses
            pairs[thread.clip].append(
                PreferencePair(
                    clip=clip.id,
                    video=readable(str(clip.path)),
                    round=self.round,
                    aspect=thread.aspect,
                    question=thread.question,
                    prompt=question.prompt,
                    chosen=chosen,
                    rejected=rejected,
                    critique=thread.replies.get("critique", ""),
                    reference_chosen_logp=logps[2 * index],
                    reference_rejected_logp=logps[2 * index + 1],
                    seed=seeds[thread.clip],
                    prompt_version=self.prompts.version,
                )
            )
        return [
            ClipResult(
                clip=clip,
                pairs=tuple(pairs[index]),
                traces=tuple(self._trace(clip, thread) for thread in threads if thread.clip == index),
                rejected=None,
            )
            for index, clip in enumerate(clips)
        ]

    def _directed(self, threads: Sequence[_Thread], seeds: Sequence[int]) -> list[Question]:
        """What each pair replies to, with its responses: the chosen one, the rejected one."""
        questions = [
            Question(
                thread.clip,
                self._prompt(ANSWER, thread),
                (thread.replies[self.settings.second], thread.replies["answer"]),
            )
            for thread in threads
        ]
        turned = [False] * len(threads)
        if self.settings.direction == "random":
            drawn = [random.Random(derive_seed(seeds[thread.clip], thread.key)).random() for thread in threads]
            turned = [chance < 0.5 for chance in drawn]
        elif self.settings.direction == "judge":
            turned = [preferred == 1 for preferred in prefer_by_text(self.model, questions)]
        return [
            replace(question, responses=question.responses[::-1]) if turn else question
            for question, turn in zip(questions, turned, strict=True)
        ]

    def _trace(self, clip: Clip, thread: _Thread) -> Trace:
        outcome = thread.refused or PAIR
        return Trace(clip.id, self.round, thread.aspect, thread.question, tuple(thread.turns), outcome)


def _turn(name: TurnName, branch: Branch, reply: Reply) -> Turn:
    return Turn(name, branch.prompt, reply.text, branch.seed, reply.logp, reply.finished)
