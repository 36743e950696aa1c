"""Asks about clips, and makes a preference pair of two responses to each question, all behind a clip that is encoded
once. A method gives the responses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from savi.critique.filters import (
    OTHER_ASPECT,
    SAME_MEANING,
    UNPARSABLE,
    filter_pair,
    filter_question,
    filter_reply,
)
from savi.critique.preferences import build_pairs
from savi.critique.round import Round
from savi.critique.same_meaning import AnswerPair, same_meaning
from savi.critique.store import ClipResult
from savi.critique.turns import ANSWER, Question, Thread, said
from savi.inference import GenerateRequest, Reply, ScoreRequest, Session
from savi.prompts.content import aspect_of
from savi.prompts.markup import Unparsable
from savi.prompts.questions import parse_questions
from savi.types import Aspect, Clip, Frames, Trace, Turn, derive_seed

PAIR = "pair"
"""The outcome of a question that became a pair."""


@dataclass(frozen=True)
class Responses:
    """Two responses to one question. turns: how they came about, for the traces. critique: what led from the rejected
    one to the chosen one.

    filtered_by: the name of the filter that takes the question, None for a pair.
    """

    chosen: str = ""
    rejected: str = ""
    turns: tuple[Turn, ...] = ()
    filtered_by: str | None = None
    critique: str = ""


class Responder(Protocol):
    """A method that responds to questions, see :class:`savi.methods.QuestionMethod`."""

    @property
    def aspects(self) -> Sequence[Aspect]: ...

    def is_cached(self, clip: Clip, round: Round) -> bool: ...

    def respond(self, session: Session, questions: Sequence[Question], round: Round) -> list[Responses]: ...

    def swapped(
        self, session: Session, questions: Sequence[Question], pairs: Sequence[ScoreRequest], round: Round
    ) -> list[bool]: ...


class QuestionMaker:
    """Makes the pairs of a round's clips by questions about them."""

    def __init__(self, method: Responder, settings: Round) -> None:
        self._method = method
        self._settings = settings
        self.round = settings.index

    def is_cached(self, clip: Clip) -> bool:
        """Whether model and method can do without this clip's frames."""
        return self._method.is_cached(clip, self._settings)

    @torch.no_grad()
    def run(self, clips: Sequence[Clip], frames: Sequence[Frames | None]) -> list[ClipResult]:
        """Pairs and traces of a batch of clips. frames may be None for a clip that the model has cached."""
        session = self._settings.model.encode(clips, frames)
        threads = self._ask(session)
        asked = _left(threads)
        given = self._method.respond(session, [thread.question for thread in asked], self._settings)
        for thread, responses in zip(asked, given, strict=True):
            thread.turns.extend(responses.turns)
            texts = {"chosen": responses.chosen, "rejected": responses.rejected}
            thread.replies = {**texts, "critique": responses.critique}
            thread.filtered_by = responses.filtered_by or self._filter_texts(*texts.values())
        self._compare(session, _left(asked))
        paired = _left(asked)
        pairs = build_pairs(session, paired, self._direct(session, paired), self._settings)
        return [
            ClipResult(
                clip=clip,
                pairs=tuple(pairs[index]),
                traces=tuple(self._trace(clip, thread) for thread in threads if thread.question.clip == index),
                rejected=None,
            )
            for index, clip in enumerate(session.clips)
        ]

    def _ask(self, session: Session) -> list[Thread]:
        """Draw questions of every aspect for every clip; keep the first distinct ones."""
        chain, prompts = self._settings.chain, self._settings.prompts
        seeds = [derive_seed(self._settings.run_seed, self.round, clip.id) for clip in session.clips]
        count = chain.questions_per_aspect
        slots = [
            (clip, aspect, index)
            for clip in range(len(session.clips))
            for aspect in self._method.aspects
            for index in range(chain.question_replies)
        ]
        requests = [
            GenerateRequest(clip, prompts.ask(aspect, count), derive_seed(seeds[clip], "question", aspect, index))
            for clip, aspect, index in slots
        ]
        replies = session.generate(requests, chain.question)
        threads: list[Thread] = []
        asked: dict[int, list[str]] = {}
        kept: Counter[tuple[int, Aspect]] = Counter()
        for (clip, aspect, index), request, reply in zip(slots, requests, replies, strict=True):
            turn = said("question", request, reply)
            for number, (text, filtered_by) in enumerate(self._questions(reply)):
                if kept[clip, aspect] == count:
                    break
                question = Question(clip, self._aspect(text, aspect), text, f"{aspect} {index}.{number}", seeds[clip])
                earlier = asked.setdefault(clip, [])
                thread = Thread(question, [turn], filtered_by=filtered_by or self._filter_question(question, earlier))
                if thread.filtered_by is None:
                    earlier.append(text)
                    kept[clip, aspect] += 1
                threads.append(thread)
        return threads

    def _questions(self, reply: Reply) -> list[tuple[str, str | None]]:
        """The questions of one reply, each with the filter that takes it."""
        filters = self._settings.filters
        filtered_by = filter_reply(reply.text, reply.finished, filters)
        try:
            questions = parse_questions(reply.text, strict=filters.question_form)
        except Unparsable:
            return [(reply.text, filtered_by or UNPARSABLE)]
        return [(question, filtered_by) for question in questions]

    def _aspect(self, question: str, asked: Aspect) -> Aspect:
        """The aspect of a question by its own words, and the one that was asked for where they don't tell."""
        return (aspect_of(question) if self._settings.filters.other_aspect else None) or asked

    def _filter_question(self, question: Question, earlier: Sequence[str]) -> str | None:
        if question.aspect not in self._method.aspects:
            return OTHER_ASPECT
        return filter_question(question.text, earlier, self._settings.filters)

    def _filter_texts(self, *texts: str) -> str | None:
        taken = (filter_reply(text, True, self._settings.filters) for text in texts)
        return next(filter(None, taken), None)

    def _compare(self, session: Session, threads: Sequence[Thread]) -> None:
        """Filter the pairs of responses, by their texts and by what they mean."""
        filters = self._settings.filters
        for thread in threads:
            rejected, chosen = thread.replies["rejected"], thread.replies["chosen"]
            thread.filtered_by = filter_pair(thread.question.text, rejected, chosen, filters)
        left = _left(threads)
        pairs = [
            AnswerPair(one.question.clip, one.question.text, one.replies["rejected"], one.replies["chosen"])
            for one in left
        ]
        for thread, same in zip(left, same_meaning(session, pairs, self._settings.prompts, filters), strict=True):
            thread.filtered_by = SAME_MEANING if same else None

    def _direct(self, session: Session, threads: Sequence[Thread]) -> list[ScoreRequest]:
        """What each pair replies to, with its chosen and its rejected response."""
        questions = [thread.question for thread in threads]
        requests = [
            ScoreRequest(
                thread.question.clip,
                ANSWER.prompt(self._settings.prompts, thread.question.text, {}),
                (thread.replies["chosen"], thread.replies["rejected"]),
            )
            for thread in threads
        ]
        swapped = self._method.swapped(session, questions, requests, self._settings)
        return [
            replace(request, responses=request.responses[::-1]) if swap else request
            for request, swap in zip(requests, swapped, strict=True)
        ]

    def _trace(self, clip: Clip, thread: Thread) -> Trace:
        outcome = thread.filtered_by or PAIR
        return Trace(clip.id, self.round, thread.question.aspect, thread.question.text, tuple(thread.turns), outcome)


def _left(threads: Sequence[Thread]) -> list[Thread]:
    """Those that no filter has taken."""
    return [thread for thread in threads if thread.filtered_by is None]
