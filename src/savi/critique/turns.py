"""The turns after a question, in their order. The chain takes all of them, the readiness check a part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from savi.critique.filters import FilterSettings, filter_critique
from savi.prompts.answers import parse_answer, parse_revision
from savi.prompts.critiques import parse_critique
from savi.prompts.templates import Prompts
from savi.types import Aspect, Turn, TurnName


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
class Asked:
    """A question before its next turn. clip: an index. replies: parsed, by turn. seed: of the next reply."""

    clip: int
    question: str
    seed: int
    replies: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Thread:
    """One question on its way through the chain.

    clip: an index. key: tells its seeds from those of the clip's other questions. turns: as they were said. replies:
    parsed, by turn. filtered_by: the filter that took it, None while it is in the chain.
    """

    clip: int
    aspect: Aspect
    question: str
    key: str
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

TURNS = {"revision": CRITIQUE_AND_REVISE, "sample": ANSWER_TWICE}
"""By the response that is paired with the first answer, `model.chain.chosen_source`."""
