"""What is kept out of the preference pairs, and under which name it is counted.

Pure functions, one for each stage of the chain, so that a lost question costs no further turns. Each returns the name
of the first filter that takes it, or None. Some names are given elsewhere: for what can't be parsed or decoded, for a
question of another aspect, and for what the model itself judges to be the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from savi.errors import check_number
from savi.prompts.content import says_unanswerable, talks_about_task
from savi.prompts.critiques import read_verdict
from savi.prompts.meaning import count_words, say_the_same, words
from savi.prompts.options import meant

UNPARSABLE = "unparsable"
UNFINISHED = "unfinished"
DUPLICATE_QUESTION = "duplicate question"
DEGENERATE_REPETITION = "degenerate repetition"
OTHER_ASPECT = "other aspect"
TASK_TALK = "task talk"
SAMPLES_DISAGREE = "samples disagree"
ANSWER_APPROVED = "answer approved"
UNANSWERABLE = "unanswerable"
UNCHANGED_REVISION = "unchanged revision"
SAME_MEANING = "same meaning"
LENGTH_IMBALANCE = "length imbalance"
IMPLAUSIBLE = "implausible"
UNDECODABLE = "undecodable"

FILTERS = (
    UNDECODABLE,
    UNPARSABLE,
    UNFINISHED,
    DEGENERATE_REPETITION,
    TASK_TALK,
    OTHER_ASPECT,
    DUPLICATE_QUESTION,
    SAMPLES_DISAGREE,
    ANSWER_APPROVED,
    UNANSWERABLE,
    UNCHANGED_REVISION,
    SAME_MEANING,
    LENGTH_IMBALANCE,
    IMPLAUSIBLE,
)
"""Every name, in the order in which the chain meets them. "undecodable" counts clips, the rest questions."""

REMEDIES = {
    UNPARSABLE: "Read the traces, and adapt the prompts (model.prompts.texts)",
    UNFINISHED: "Raise max_new_tokens of the turn that is cut off (model.chain.question, answer, critique, revision)",
    DEGENERATE_REPETITION: "The model loops: try a larger one, or another model.base.dtype",
    TASK_TALK: "The model talks about the task: adapt the prompts (model.prompts.texts)",
    OTHER_ASPECT: "Ask about both aspects (model.pairs.aspects)",
    DUPLICATE_QUESTION: "Ask for fewer questions (model.chain.questions_per_aspect)",
    SAMPLES_DISAGREE: "The model guesses: give it more frames (data.frames), or lower model.chain.answer_samples to 0",
    ANSWER_APPROVED: "The critic finds answers right: sample them at a higher temperature, or take another critic",
    UNANSWERABLE: "The clips don't tell what the model asks: give it more frames (data.frames), or other clips",
    UNCHANGED_REVISION: "Criticism changes no answer: take another critic (model.pairs.critic), or a larger model",
    SAME_MEANING: "Criticism changes only the words: take another critic (model.pairs.critic), or a larger model",
    LENGTH_IMBALANCE: "Raise model.filters.max_length_ratio, or ask for the length in the prompts",
    IMPLAUSIBLE: "Raise model.filters.most_logp_drop",
    UNDECODABLE: "Look at the videos that were left out",
}
"""Ways out for a run that loses most of its questions to one filter."""

OWN_REMEDY = "That is a filter of your own: look at it (model.own_filters)"

NOT_IN_TEMPLATE = "not in the chat template"
OVERLONG = "overlong"

REFUSALS = {
    UNDECODABLE: REMEDIES[UNDECODABLE],
    NOT_IN_TEMPLATE: "Leave out what the model's chat template has no place for: system messages, say",
    OVERLONG: "Raise data.max_length, or lower data.frames or data.max_pixels",
}
"""What keeps a pair from a file from being learned, each with a way out. No other filter looks at such pairs."""


@dataclass(frozen=True)
class FilterSettings:
    """Bounds of the filters, which keep bad replies out of the pairs."""

    max_length_ratio: float = 3.0
    """Largest allowed ratio of the longer to the shorter response of a pair, in words. Two characters of Chinese and
    other scripts without spaces count as a word. `.inf` in a file allows any."""

    length_slack: int = 8
    """Difference in words that is always allowed, whatever the ratio: "left" may be paired with "left to right"."""

    max_repeats: int = 3
    """Most times that a reply may say the same words in a row, one word or several."""

    most_logp_drop: float | None = 2.0
    """Most nats per token by which the chosen response may be less likely than the rejected one, which is the model's
    own first answer, both under the reference. None: any. A model that has begun to drift writes revisions that are no
    answers, learns them, and drifts further."""

    least_logp: float | None = None
    """Least mean log-probability per token, in nats, of the chosen response under the reference. None: any. It depends
    on the model: -2.5 fits the miniature, and `most_logp_drop` any."""

    language_logp: float | None = -5.0
    """Least mean log-probability per token, in nats, of either response under the reference. None: any. A text below it
    is hardly language to any model: words at random have -6 for a vocabulary of 500, and -12 for one of 150,000."""

    cut_critiques: bool = True
    """Use a critique that its token limit has cut off up to its last whole sentence. Otherwise its question is
    filtered as unfinished."""

    question_form: bool = True
    """Take only questions that have the form of one. Otherwise every line of a list counts."""

    other_aspect: bool = True
    """Count a question as spatial or temporal by its own words, whatever was asked for; without an aspect that the
    chain asks about it is filtered."""

    task_talk: bool = True
    """Filter questions and chosen responses that talk about a proposed answer, a critique or the prompt."""

    answer_approved: bool = True
    """Filter a question whose critique ends in the verdict that the answer is right."""

    unanswerable: bool = True
    """Filter a question where the chosen response says that the clip doesn't tell."""

    same_meaning: Literal["words", "content", "model"] = "model"
    """How a revision is told from an answer that says the same: by all `words`, by its `content` words, or in addition
    by the `model` itself, which is asked, where its prompts have a question for it."""

    def __post_init__(self) -> None:
        # An infinite ratio lets every pair pass.
        check_number("model.filters.max_length_ratio", self.max_length_ratio, least=1, finite=False)
        check_number("model.filters.length_slack", self.length_slack, least=0)
        check_number("model.filters.max_repeats", self.max_repeats, least=1)
        if self.least_logp is not None:
            check_number("model.filters.least_logp", self.least_logp, below=0)
        if self.language_logp is not None:
            check_number("model.filters.language_logp", self.language_logp, below=0)
        if self.most_logp_drop is not None:
            check_number("model.filters.most_logp_drop", self.most_logp_drop, least=0)


def filter_question(question: str, earlier: Iterable[str], settings: FilterSettings) -> str | None:
    """Takes a question about the task, and one that says the same as one of the clip's `earlier` ones."""
    if settings.task_talk and talks_about_task(question):
        return TASK_TALK
    asked = words(question)
    return DUPLICATE_QUESTION if any(words(other) == asked for other in earlier) else None


def filter_reply(text: str, finished: bool, settings: FilterSettings) -> str | None:
    """Takes any turn's reply that its token limit cut off, or that loops."""
    if not finished:
        return UNFINISHED
    return DEGENERATE_REPETITION if loops(text, settings.max_repeats) else None


def filter_critique(critique: str, settings: FilterSettings) -> str | None:
    """Takes a question whose answer the critic finds right: its revision has nothing to correct."""
    return ANSWER_APPROVED if settings.answer_approved and read_verdict(critique) == "right" else None


def filter_pair(question: str, answer: str, other: str, settings: FilterSettings) -> str | None:
    """Takes a pair by the texts of its first answer and its other response, which is its revision or a sample.

    The other response may talk about the task, say that the clip doesn't tell, say the same as the answer, or have a
    length far from the answer's.
    """
    rejected, chosen = words(answer), words(other)
    if rejected == chosen:
        return UNCHANGED_REVISION
    if settings.task_talk and talks_about_task(other):
        return TASK_TALK
    one, another = meant(question, answer), meant(question, other)
    if settings.unanswerable and says_unanswerable(question, another):
        return UNANSWERABLE
    if settings.same_meaning != "words" and say_the_same(question, one, another):
        return SAME_MEANING
    shorter, longer = sorted((count_words(answer), count_words(other)))
    if longer - shorter > settings.length_slack and longer > settings.max_length_ratio * shorter:
        return LENGTH_IMBALANCE
    return None


def filter_likelihood(logps: Sequence[float], lengths: Sequence[float], settings: FilterSettings) -> str | None:
    """Takes a pair whose chosen response the reference finds too unlikely, by itself or next to the rejected one, and
    a pair with a response that is hardly language.

    logps, lengths: of chosen and rejected, log-probabilities in nats summed over that many tokens.
    """
    chosen, rejected = (logp / length for logp, length in zip(logps, lengths, strict=True))
    too_low = settings.least_logp is not None and logps[0] < settings.least_logp * lengths[0]
    dropped = settings.most_logp_drop is not None and rejected - chosen > settings.most_logp_drop
    no_language = settings.language_logp is not None and min(chosen, rejected) < settings.language_logp
    return IMPLAUSIBLE if too_low or dropped or no_language else None


def loops(text: str, max_repeats: int) -> bool:
    """Whether any sequence of words occurs more than `max_repeats` times in a row."""
    said = words(text)
    for period in range(1, len(said) // (max_repeats + 1) + 1):
        same = 0
        for word, later in zip(said, said[period:], strict=False):
            same = same + 1 if word == later else 0
            if same >= period * max_repeats:
                return True
    return False
