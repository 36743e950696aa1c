"""Whether answers say the same: by their words, and where these differ by the word of the model itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

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


def same_meaning(
    session: Session, pairs: Sequence[AnswerPair], prompts: Prompts, settings: FilterSettings
) -> list[bool]:
    """Whether the answers of each pair say the same, (pairs,).

    The model's word counts for pairs whose words differ, if settings and prompts have it asked.
    """
    same = [_by_words(pair, settings) for pair in pairs]
    if settings.same_meaning != "model" or not prompts.same_meaning:
        return same
    unknown = [index for index, known in enumerate(same) if not known]
    for index, judged in zip(unknown, _by_model(session, [pairs[i] for i in unknown], prompts), strict=True):
        same[index] = judged
    return same


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
        (index, one, AnswerPair(clip, question, given[one], given[other]))
        for index, ((clip, question), given) in enumerate(zip(questions, answers, strict=True))
        for one, other in permutations(range(len(given)), 2)
    ]
    same = same_meaning(session, [pair for _, _, pair in compared], prompts, settings)
    agreeing = Counter((index, one) for (index, one, _), known in zip(compared, same, strict=True) if known)
    most = [1 + max(agreeing[index, one] for one in range(len(given))) for index, given in enumerate(answers)]
    return [count >= LEAST_AGREEING * len(given) for count, given in zip(most, answers, strict=True)]


def _by_words(pair: AnswerPair, settings: FilterSettings) -> bool:
    if settings.same_meaning == "words":
        return bool(words(pair.first)) and words(pair.first) == words(pair.second)
    return say_the_same(pair.question, meant(pair.question, pair.first), meant(pair.question, pair.second))


def _by_model(session: Session, pairs: Sequence[AnswerPair], prompts: Prompts) -> list[bool]:
    """The reference's verdict: whether Yes is likelier than No, over both orders of the answers.

    A model may favor a word or a place. Both orders are asked in one pass, and the place cancels out.
    """
    if not pairs:
        return []
    requests = [
        ScoreRequest(
            pair.clip, prompts.same_meaning.format(question=pair.question, first=first, second=second), VERDICTS
        )
        for pair in pairs
        for first, second in ((pair.first, pair.second), (pair.second, pair.first))
    ]
    logps = session.score_reference(requests).logps.view(len(pairs), 2, 2)
    margins = (logps[..., 0] - logps[..., 1]).sum(-1)
    return [bool(margin > 0) for margin in margins.tolist()]
