"""The turns after a question, in their order. The chain takes all of them, the readiness check a part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from savi.critique.filters import FilterSettings, filter_critique
from savi.inference import GenerateRequest, Reply
from savi.prompts.answers import parse_answer, parse_revision
from savi.prompts.critiques import parse_critique
from savi.prompts.templates import Prompts
from savi.types import Aspect, Turn, TurnName, derive_seed


@dataclass(frozen=True)
class TurnSpec:
    """One turn.

    settings: the name of its prompt in `Prompts` and of its sampling in `ChainSettings`. parse: gives the text that the
    next turns take; raises Unparsable. by: who replies. filter: names the filter that takes a parsed reply, or None.
    may_be_cut: whether a reply that its token limit has cut off is of use up to its last whole sentence.
    """

    name: TurnName
    settings: Literal["answer", "critique", "revision"]
    parse: Callable[[str], str]
    by: Literal["model", "critic"] = "model"
    filter: Callable[[str, FilterSettings], str | None] | None = None
    may_be_cut: bool = False

    def prompt(self, prompts: Prompts, question: str, replies: Mapping[str, str]) -> str:
        """What the turn says to a model. replies: of the earlier turns, parsed."""
        template: str = getattr(prompts, self.settings)
        return template.format(question=question, **replies)


@dataclass(frozen=True)
class Question:
    """A question that the model has asked. clip: an index into its session's clips. key: tells it from the clip's
    other questions. clip_seed: of the clip in this round."""

    clip: int
    aspect: Aspect
    text: str
    key: str
    clip_seed: int

    def seed(self, purpose: str, *more: int | str) -> int:
        """Of random numbers for one purpose. A resumed run draws the same."""
        return derive_seed(self.clip_seed, purpose, self.key, *more)


@dataclass(frozen=True)
class Asked:
    """A question before its next turn. clip: an index. replies: parsed, by turn. seed: of the next reply."""

    clip: int
    question: str
    seed: int
    replies: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Thread:
    """One question on its way through the chain.

    turns: as they were said. replies: parsed, by turn. filtered_by: the filter that took it, None while it is in the
    chain.
    """

    question: Question
    turns: list[Turn] = field(default_factory=list)
    replies: dict[str, str] = field(default_factory=dict)
    filtered_by: str | None = None


ANSWER = TurnSpec("answer", "answer", parse_answer)

CRITIQUE = TurnSpec("critique", "critique", parse_critique, by="critic", filter=filter_critique, may_be_cut=True)

CRITIQUE_AND_REVISE = (
    ANSWER,
    CRITIQUE,
    TurnSpec("revision", "revision", parse_revision),
)

ANSWER_TWICE = (ANSWER, TurnSpec("sample", "answer", parse_answer))


def said(name: TurnName, request: GenerateRequest, reply: Reply) -> Turn:
    """A turn, word for word."""
    return Turn(name, request.prompt, reply.text, request.seed, reply.logp, reply.finished, reply.thought)
