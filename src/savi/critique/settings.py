"""How the critique chain is run: the settings of the method, and those of its baselines and controls."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from savi.critique.critics import CriticSettings
from savi.errors import SaviError, check_number
from savi.types import ASPECTS, Aspect, Sampling


@dataclass(frozen=True)
class ChainSettings:
    """The turns of the chain: question, answer, critique, revision. Its defaults are the paper's method."""

    questions_per_aspect: int = 3
    """Most questions that are kept per clip and aspect. With both aspects the default gives the paper's six pairs."""

    question_replies: int = 1
    """Replies that are drawn for these questions. One is enough for a model that writes numbered lists; a model that
    writes one question per reply needs as many replies as questions."""

    aspects: tuple[Aspect, ...] = ASPECTS
    """The subjects of the questions. `temporal` alone gives temporal preferences only, as in TPO (Li et al. 2025)."""

    chosen_source: Literal["revision", "sample"] = "revision"
    """The response that is paired with the first answer: its revision, or another sample that nobody criticizes."""

    preference: Literal["second", "random", "judge"] = "second"
    """The preferred response of a pair. `second`, the method, prefers that of chosen_source over the first answer.
    `random` draws it, a control that must not learn anything. `judge` asks a judge who never sees the clip, as in
    LLaVA-Hound-DPO (Zhang et al. 2024)."""

    answer_samples: int = 0
    """Further answers that are sampled to each question. A question is filtered if fewer than three quarters of its
    answers say the same: guesses about what a clip doesn't tell differ. 0: none, because a model that often errs loses
    many questions so."""

    decoding: Literal["own", "alike"] = "own"
    """`own`: every turn is decoded as set below. `alike`: a revision is decoded as the first answer, with its own token
    limit, so that a pair doesn't teach greedy text over sampled text."""

    critic: CriticSettings = field(default_factory=CriticSettings)
    """The critic of the answers."""

    question: Sampling = field(default_factory=lambda: Sampling(temperature=1.0, top_p=0.95))
    """Decoding of the questions: sampled, so that the questions of a clip differ."""

    answer: Sampling = field(default_factory=lambda: Sampling(temperature=1.0, top_p=0.95))
    """Decoding of the first answers: sampled, so that there are errors to criticize."""

    critique: Sampling = field(default_factory=lambda: Sampling(temperature=0.0))
    """Decoding of the critiques: greedy."""

    revision: Sampling = field(default_factory=lambda: Sampling(temperature=0.0))
    """Decoding of the revisions: greedy."""

    def __post_init__(self) -> None:
        for name in ("questions_per_aspect", "question_replies"):
            check_number(f"model.chain.{name}", getattr(self, name), least=1)
        check_number("model.chain.answer_samples", self.answer_samples, least=0)
        if not self.aspects or len(set(self.aspects)) < len(self.aspects):
            raise SaviError(f"model.chain.aspects must be one or both of {', '.join(ASPECTS)}, each once")
        if self.chosen_source == "sample" and self.decoding == "alike":
            raise SaviError("model.chain.decoding: with chosen_source=sample both responses are decoded alike anyway")
        if self.chosen_source == "sample" and self.critic != CriticSettings():
            raise SaviError("model.chain.critic: with chosen_source=sample nobody criticizes")

    def sampling(self, turn: Literal["answer", "critique", "revision"]) -> Sampling:
        """The decoding of a turn after the question."""
        if turn == "revision" and self.decoding == "alike":
            return replace(self.answer, max_new_tokens=self.revision.max_new_tokens)
        sampling: Sampling = getattr(self, turn)
        return sampling
