"""The turns after a question, in their order. The chain takes all of them, the readiness check a part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from savi.critique.filters import FilterSettings, filter_critique
from savi.prompts.answers import parse_answer, parse_revision
from savi.prompts.critiques import parse_critique
from savi.types import TurnName


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


@dataclass(frozen=True)
class Asked:
    """A question before its next turn. clip: an index. replies: parsed, by turn. seed: of the next reply."""

    clip: int
    question: str
    seed: int
    replies: Mapping[str, str] = field(default_factory=dict)


ANSWER = TurnSpec("answer", "answer", parse_answer)

CRITIQUE_AND_REVISE = (
    ANSWER,
    TurnSpec("critique", "critique", parse_critique, by="critic", filter=filter_critique, may_be_cut=True),
    TurnSpec("revision", "revision", parse_revision),
)

ANSWER_TWICE = (ANSWER, TurnSpec("sample", "answer", parse_answer))

TURNS = {"revision": CRITIQUE_AND_REVISE, "sample": ANSWER_TWICE}
"""By the response that is paired with the first answer, `model.chain.chosen_source`."""
