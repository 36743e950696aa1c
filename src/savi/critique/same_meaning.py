"""Whether answers say the same: by their words, and where these differ by the word of the model itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from savi.conversations import Message
from savi.critique.filters import FilterSettings
from savi.inference import ScoreRequest, Session
from savi.prompts.meaning import say_the_same, words
from savi.prompts.options import meant
from savi.prompts.templates import Prompts

VERDICTS = ("Yes", "No")

LEAST_AGREEING = 0.75
"""Share of the sampled answers to a question that must say the same, where they are compared."""


@dataclass(frozen=True)
class AnswerPair:
    """Two answers to one question. clip: index into the session's clips."""

    clip: int
    question: str
    first: str
    second: str


def asks_model(prompts: Prompts, settings: FilterSettings) -> bool:
    """Whether the model judges answers whose words differ."""
    return settings.same_meaning == "model" and bool(prompts.same_meaning)


def same_meaning(
    session: Session, pairs: Sequence[AnswerPair], prompts: Prompts, settings: FilterSettings
) -> list[bool]:
    """Whether the answers of each pair say the same, (pairs,).

    The model's word counts for pairs whose words differ, if settings and prompts have it asked.
    """
    same = [_by_words(pair, settings) for pair in pairs]
    if not asks_model(prompts, settings):
        return same
    unknown = [index for index, known in enumerate(same) if not known]
    answers: dict[tuple[int, str], dict[str, int]] = {}
    for pair in (pairs[index] for index in unknown):
        known = answers.setdefault((pair.clip, pair.question), {})
        for answer in (pair.first, pair.second):
            known.setdefault(answer, len(known))
    requests = [
        ScoreRequest(clip, prompts.answer.format(question=question), tuple(given))
        for (clip, question), given in answers.items()
    ]
    places = {asked: index for index, asked in enumerate(answers)}
    compared = []
    for pair in (pairs[index] for index in unknown):
        asked = pair.clip, pair.question
        compared.append((places[asked], answers[asked][pair.first], answers[asked][pair.second]))
    _, _, verdicts = score_and_compare(session, requests, compared, prompts)
    for index, verdict in zip(unknown, verdicts, strict=True):
        same[index] = verdict
    return same


def score_and_compare(
    session: Session, requests: Sequence[ScoreRequest], compared: Sequence[tuple[int, int, int]], prompts: Prompts
) -> tuple[list[float], list[int], list[bool]]:
    """Under the frozen reference, the log-probabilities of all responses, their lengths, and whether the compared ones
    say the same: one scoring pass.

    requests: an answer prompt each, with answers. compared: indices of a request and of two of its responses. They say
    the same if Yes is likelier than No, over both orders: a model may favor a word or a place, and the place cancels
    out. The question about another answer follows the one that is scored anyway, so that nothing is read twice.
    """
    if not requests:
        return [], [], []
    asked = [
        _follow_up(requests[index], first, second, prompts)
        for index, one, other in compared
        for first, second in ((one, other), (other, one))
    ]
    scores = session.score_reference([*requests, *asked])
    answered = sum(len(request.responses) for request in requests)
    verdicts = scores.logps[answered:].view(len(compared), 2, 2)
    margins = (verdicts[..., 0] - verdicts[..., 1]).sum(-1)
    same = [margin > 0 for margin in margins.tolist()]
    return scores.logps[:answered].tolist(), scores.lengths[:answered].tolist(), same


def _follow_up(request: ScoreRequest, first: int, second: int, prompts: Prompts) -> ScoreRequest:
    """The question whether another response says the same, behind the first one."""
    if not isinstance(request.prompt, str):
        raise TypeError("answers are compared behind a prompt of one message")
    conversation = (
        Message("user", request.prompt, 0),
        Message("assistant", request.responses[first]),
        Message("user", prompts.same_meaning.format(other=request.responses[second])),
    )
    return ScoreRequest(request.clip, conversation, VERDICTS, until_they_differ=True)


def agree(
    session: Session,
    questions: Sequence[tuple[int, str]],
    answers: Sequence[Sequence[str]],
    prompts: Prompts,
    settings: FilterSettings,
) -> list[bool]:
    """Whether nearly all answers to a question say the same as one of them, (questions,).

    questions: index of the clip, and text. answers: to each question, at least one.
    """
    compared = [
        (index, one, other, AnswerPair(clip, question, given[one], given[other]))
        for index, ((clip, question), given) in enumerate(zip(questions, answers, strict=True))
        for one, other in combinations(range(len(given)), 2)
    ]
    same = same_meaning(session, [pair for *_, pair in compared], prompts, settings)
    agreeing: Counter[tuple[int, int]] = Counter()
    for (index, one, other, _), known in zip(compared, same, strict=True):
        agreeing.update([(index, one), (index, other)] if known else [])
    most = [1 + max(agreeing[index, at] for at in range(len(given))) for index, given in enumerate(answers)]
    return [count >= LEAST_AGREEING * len(given) for count, given in zip(most, answers, strict=True)]


def _by_words(pair: AnswerPair, settings: FilterSettings) -> bool:
    if settings.same_meaning == "words":
        return bool(words(pair.first)) and words(pair.first) == words(pair.second)
    return say_the_same(pair.question, meant(pair.question, pair.first), meant(pair.question, pair.second))
