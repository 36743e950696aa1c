"""How questions are asked, answered, criticized and revised."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from savi.errors import check_number
from savi.types import Sampling


@dataclass(frozen=True)
class ChainSettings:
    """The turns of the chain: question, answer, critique, revision. Its defaults are the paper's method."""

    questions_per_aspect: int = 3
    """Most questions that are kept per clip and aspect. With both aspects the default gives the paper's six pairs."""

    question_replies: int = 1
    """Replies that are drawn for these questions. One is enough for a model that writes numbered lists; a model that
    writes one question per reply needs as many replies as questions."""

    answer_samples: int = 0
    """Further answers that are sampled to each question. A question is filtered if fewer than three quarters of its
    answers say the same: guesses about what a clip doesn't tell differ. 0: none, because a model that often errs loses
    many questions so."""

    decoding: Literal["own", "alike"] = "own"
    """`own`: every turn is decoded as set below. `alike`: a revision is decoded as the first answer, with its own token
    limit, so that a pair doesn't teach greedy text over sampled text."""

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

    def sampling(self, turn: Literal["answer", "critique", "revision"]) -> Sampling:
        """The decoding of a turn after the question."""
        if turn == "revision" and self.decoding == "alike":
            return replace(self.answer, max_new_tokens=self.revision.max_new_tokens)
        sampling: Sampling = getattr(self, turn)
        return sampling
