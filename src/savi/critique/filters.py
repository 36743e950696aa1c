"""What is kept out of the preference pairs, and under which name it is counted.

Pure functions, one for each stage of the chain, so that a lost question costs no further turns.
Each returns the name of the first filter that takes it, or None. What can't be parsed or decoded and what
doesn't fit is known elsewhere; their names are here, with the others.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from savi.errors import check_number

UNPARSABLE = "unparsable"
UNFINISHED = "unfinished"
DUPLICATE_QUESTION = "duplicate question"
DEGENERATE_REPETITION = "degenerate repetition"
UNCHANGED_REVISION = "unchanged revision"
LENGTH_IMBALANCE = "length imbalance"
IMPLAUSIBLE = "implausible"
UNDECODABLE = "undecodable"

FILTERS = (
    UNDECODABLE,
    UNPARSABLE,
    UNFINISHED,
    DUPLICATE_QUESTION,
    DEGENERATE_REPETITION,
    UNCHANGED_REVISION,
    LENGTH_IMBALANCE,
    IMPLAUSIBLE,
)
"""Every name, in the order in which the chain meets them. "undecodable" counts clips, the rest questions."""

# In scripts without spaces each character counts, or a whole sentence would be a single word.
WORD = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W_]+")


@dataclass(frozen=True)
class FilterSettings:
    """Bounds of the filters, which keep bad replies out of the pairs."""

    max_length_ratio: float = 3.0
    """Largest allowed ratio of the longer to the shorter response of a pair, in words. `.inf` in a file allows any."""

    length_slack: int = 8
    """Difference in words that is always allowed, whatever the ratio: "left" may be paired with "left to right"."""

    max_repeats: int = 3
    """Most times that a reply may say the same words in a row, one word or several."""

    least_logp: float | None = -2.5
    """Least mean log-probability per token, in nats, of the chosen response under the reference. None: any. A model
    that has begun to drift writes revisions that are no answers, learns them, and drifts further; the reference would
    hardly ever write those."""

    def __post_init__(self) -> None:
        # An infinite ratio lets every pair pass.
        check_number("model.filters.max_length_ratio", self.max_length_ratio, least=1, finite=False)
        check_number("model.filters.length_slack", self.length_slack, least=0)
        check_number("model.filters.max_repeats", self.max_repeats, least=1)
        if self.least_logp is not None:
            check_number("model.filters.least_logp", self.least_logp, below=0)


def refuse_question(question: str, earlier: Iterable[str]) -> str | None:
    """Takes a question that says the same as one of the clip's `earlier` ones, case and punctuation aside."""
    asked = words(question)
    return DUPLICATE_QUESTION if any(words(other) == asked for other in earlier) else None


def refuse_reply(text: str, finished: bool, settings: FilterSettings) -> str | None:
    """Takes any turn's reply that its token limit cut off, or that loops."""
    if not finished:
        return UNFINISHED
    return DEGENERATE_REPETITION if loops(text, settings.max_repeats) else None


def refuse_pair(answer: str, revision: str, settings: FilterSettings) -> str | None:
    """Takes a pair whose revision says the same as the answer, or whose lengths are too far apart."""
    rejected, chosen = words(answer), words(revision)
    if rejected == chosen:
        return UNCHANGED_REVISION
    shorter, longer = sorted((len(rejected), len(chosen)))
    if longer - shorter > settings.length_slack and longer > settings.max_length_ratio * shorter:
        return LENGTH_IMBALANCE
    return None


def refuse_chosen(logp: float, tokens: float, settings: FilterSettings) -> str | None:
    """Takes a pair whose chosen response the reference finds too unlikely. logp: summed over its tokens."""
    implausible = settings.least_logp is not None and logp < settings.least_logp * tokens
    return IMPLAUSIBLE if implausible else None


def words(text: str) -> list[str]:
    """The words of a text, case, punctuation and the way its characters are encoded aside."""
    return WORD.findall(unicodedata.normalize("NFKC", text).casefold())


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
