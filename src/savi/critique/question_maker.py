"""Asks about clips, and makes a preference pair of two responses to each question, all behind a clip that is encoded
once. A method gives the responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from savi.critique.asking import ask, left
from savi.critique.clip_results import ClipResult
from savi.critique.filters import filter_pair, filter_reply
from savi.critique.own_filters import Candidate, filter_by_own
from savi.critique.preferences import build_pairs
from savi.critique.round import Round
from savi.critique.turns import ANSWER, Question, Thread
from savi.inference import ScoreRequest, Session
from savi.types import Aspect, Clip, Frames, Trace, Turn

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
        threads = ask(session, self._method.aspects, self._settings)
        asked = left(threads)
        given = self._method.respond(session, [thread.question for thread in asked], self._settings)
        for thread, responses in zip(asked, given, strict=True):
            thread.turns.extend(responses.turns)
            texts = {"chosen": responses.chosen, "rejected": responses.rejected}
            thread.replies = {**texts, "critique": responses.critique}
            thread.filtered_by = responses.filtered_by or self._filter_texts(*texts.values())
        self._compare(left(asked))
        paired = left(asked)
        directed = self._direct(session, paired)
        self._filter_by_own(session, paired, directed)
        kept = [request for thread, request in zip(paired, directed, strict=True) if thread.filtered_by is None]
        pairs = build_pairs(session, left(paired), kept, self._settings)
        return [
            ClipResult(
                clip=clip,
                pairs=tuple(pairs[index]),
                traces=tuple(self._trace(clip, thread) for thread in threads if thread.question.clip == index),
                rejected=None,
            )
            for index, clip in enumerate(session.clips)
        ]

    def _filter_texts(self, *texts: str) -> str | None:
        taken = (filter_reply(text, True, self._settings.filters) for text in texts)
        return next(filter(None, taken), None)

    def _compare(self, threads: Sequence[Thread]) -> None:
        """Filter the pairs of responses by their texts."""
        for thread in threads:
            rejected, chosen = thread.replies["rejected"], thread.replies["chosen"]
            thread.filtered_by = filter_pair(thread.question.text, rejected, chosen, self._settings.filters)

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

    def _filter_by_own(self, session: Session, threads: Sequence[Thread], requests: Sequence[ScoreRequest]) -> None:
        """Have the user's filters look at the pairs. requests: each with its chosen and its rejected response."""
        for thread, request in zip(threads, requests, strict=True):
            asked, (chosen, rejected) = thread.question, request.responses
            candidate = Candidate(
                clip=session.clips[asked.clip],
                round=self.round,
                aspect=asked.aspect,
                question=asked.text,
                chosen=chosen,
                rejected=rejected,
                critique=thread.replies["critique"],
                turns=tuple(thread.turns),
            )
            thread.filtered_by = filter_by_own(candidate, self._settings.own_filters)

    def _trace(self, clip: Clip, thread: Thread) -> Trace:
        outcome = thread.filtered_by or PAIR
        return Trace(clip.id, self.round, thread.question.aspect, thread.question.text, tuple(thread.turns), outcome)
