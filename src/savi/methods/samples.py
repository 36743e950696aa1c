"""Several sampled answers to each question, which methods choose from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from savi.critique.round import Round
from savi.critique.turns import ANSWER, Question, said
from savi.inference import GenerateRequest, Session
from savi.prompts.markup import Unparsable
from savi.types import Turn, derive_seed


@dataclass(frozen=True)
class Sampled:
    """The answers to one question that could be read, and all turns. prompt: what they reply to."""

    prompt: str
    answers: tuple[str, ...]
    turns: tuple[Turn, ...]


def sample_answers(session: Session, questions: Sequence[Question], round: Round, count: int) -> list[Sampled]:
    """`count` answers to each question, sampled as `model.chain.answer` says; those that were cut off are left out."""
    prompts = [ANSWER.prompt(round.prompts, one.text, {}) for one in questions]
    requests = [
        GenerateRequest(one.clip, prompt, derive_seed(one.seed("responses"), index))
        for one, prompt in zip(questions, prompts, strict=True)
        for index in range(count)
    ]
    replies = session.generate(requests, round.chain.answer)
    sampled = []
    for place, prompt in enumerate(prompts):
        part = slice(place * count, (place + 1) * count)
        turns = [said("sample", *pair) for pair in zip(requests[part], replies[part], strict=True)]
        read = [_read(turn.reply) for turn in turns if turn.finished]
        sampled.append(Sampled(prompt, tuple(filter(None, read)), tuple(turns)))
    return sampled


def _read(reply: str) -> str | None:
    try:
        return ANSWER.parse(reply)
    except Unparsable:
        return None
