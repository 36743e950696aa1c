"""Before training: is this model's criticism worth learning from? Measured on a sample.

Without a label there is agreement. Verdicts say little (a critic may agree with everything), so it is that of the
revisions that critiques lead to: a critic that looks at the clip leads to the same answer again and again, and from
wherever it starts. A critic that is sure and wrong can't be seen this way; a few labelled questions show it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from savi.critique.filters import ANSWER_APPROVED, OWN_REMEDY, REMEDIES, UNFINISHED
from savi.types import TurnName

MOST_MALFORMED = 0.05
LEAST_CHANGED = 0.1
MOST_CHANGED = 0.85
LEAST_AGREEMENT = 0.8
LEAST_AGREEMENT_FROM_ANOTHER = 0.9
LEAST_ADVANTAGE = 0.2
"""Bounds between the runs of the study (docs/paper.md) that gained and those that didn't. Bases that gained 24 points
and more changed 47 to 66 % of their answers, agreed in 85 to 99 %, from another answer in 95 to 99 %, and had an
advantage of 37 points and more. A weak one that gained 9 to 12 agreed from another answer in 84 to 90 %, with an
advantage of 15; a small one that gained 9 to 11 agreed in 60 to 65 %, with an advantage of 33. Nobody changed too
little."""


Z90 = 1.645
"""Half the width of an interval of 90 %, in standard deviations."""

LEAST_BLAMED = 0.2
"""Share of the questions that other filters must take, so that they are named and not the critic's approval."""

LEAST_QUESTIONS = 12
"""Questions from which on their changed answers are judged, and a run without any pair is taken for hopeless."""


@dataclass(frozen=True)
class AgreementCheck:
    """One question of the model's own. outcome: "pair", or the filter that took it. lost_at: the last turn of a
    question without a usable revision. The rest is None where it could not be measured."""

    outcome: str
    malformed: bool = False
    changed: bool | None = None
    agrees_with_itself: bool | None = None
    agrees_from_another: bool | None = None
    lost_at: TurnName | None = None


@dataclass(frozen=True)
class LabelledCheck:
    """One labelled question: whether the greedy answer was right, and whether its revision was."""

    greedy: bool
    revised: bool


@dataclass(frozen=True)
class Readiness:
    """Shares, 0 to 1, over `questions` of the model's own; None where nothing got so far.

    malformed: left the chain because a reply could not be used. changed: answers that criticism changes. Lost
    revisions count as changed as often as the others. agrees_with_itself: two critiques sampled for one answer lead
    to revisions that say the same. agrees_from_another: so do the critiques of two sampled answers. labelled:
    labelled questions that came to a revision; greedy, revised: which share of them was answered right, and revised
    right. pairs: questions that became one. filters: those that a filter took, by its name. unfinished: replies that
    were cut off, by turn.
    """

    questions: int
    malformed: float
    changed: float | None
    agrees_with_itself: float | None
    agrees_from_another: float | None
    labelled: int = 0
    greedy: float | None = None
    revised: float | None = None
    pairs: int = 0
    filters: dict[str, int] = field(default_factory=dict)
    unfinished: dict[str, int] = field(default_factory=dict)
    compared: int = 0

    def concerns(self) -> list[str]:
        """What runs that gained little or nothing had in common with this one, in a few words each."""
        found = [("many replies are malformed", _below(1 - self.malformed, 1 - MOST_MALFORMED, self.questions))]
        many = self.questions >= LEAST_QUESTIONS
        if self.changed is None or self.agrees_with_itself is None or self.agrees_from_another is None:
            found.append(("no question came to a revision", many))
        else:
            alike, alike_from_another = self.agrees_with_itself, self.agrees_from_another
            other = _below(alike_from_another, LEAST_AGREEMENT_FROM_ANOTHER, self.compared)
            found += [
                # The study's bases that gained were far from these two bounds: a dozen questions tell, but not four.
                ("criticism changes hardly any answer", many and self.changed < LEAST_CHANGED),
                ("criticism changes nearly every answer", many and self.changed > MOST_CHANGED),
                ("two critiques of one answer disagree", _below(alike, LEAST_AGREEMENT, self.compared)),
                ("critiques of two answers disagree", other),
            ]
        if self.revised is not None and self.greedy is not None:
            gained = self.revised - self.greedy
            found.append(("revised answers are hardly better than answers", gained < LEAST_ADVANTAGE))
        return [concern for concern, there in found if there]

    def line(self) -> str:
        """For the terminal."""
        line = (
            f"Readiness: of {self.questions} questions {_percent(self.malformed)} are lost to malformed replies; "
            f"criticism changes {_percent(self.changed)} of the answers; two critiques of one answer lead to the same "
            f"revision in {_percent(self.agrees_with_itself)}, those of two answers in "
            f"{_percent(self.agrees_from_another)}"
        )
        if self.questions < LEAST_QUESTIONS:
            line += f"; so few tell little: raise data.readiness_clips until there are {LEAST_QUESTIONS} questions"
        if self.labelled:
            line += (
                f"; of {self.labelled} labelled questions {_percent(self.greedy)} answered right, "
                f"{_percent(self.revised)} after revision"
            )
        concerns = self.concerns()
        return line + (
            f". WARNING: runs like this gained little or nothing here: {'; '.join(concerns)}" if concerns else ""
        )

    def hopeless(self) -> str | None:
        """Why no pair is to be expected, and what to do; None where there is hope."""
        if self.pairs or self.questions < LEAST_QUESTIONS:
            return None
        others = {name: count for name, count in self.filters.items() if name != ANSWER_APPROVED}
        # The critic approves right answers of a good model too: then the others tell what is wrong.
        blamed = others if sum(others.values()) >= LEAST_BLAMED * self.questions else self.filters
        worst = max(blamed, key=lambda name: blamed[name])
        remedy = REMEDIES.get(worst, OWN_REMEDY)
        if worst == UNFINISHED and self.unfinished:
            turn = max(self.unfinished, key=lambda name: self.unfinished[name])
            remedy = f"Most were cut off in the turn {turn!r}: raise model.chain.{turn}.max_new_tokens"
        return (
            f"no pair can be expected: of {self.questions} questions {self.filters[worst]} were filtered as {worst!r}. "
            f"{remedy}; --force builds all the same"
        )


def _below(share: float, bound: float, questions: int) -> bool:
    """Whether a share of some questions is below its bound, and not by chance: 13 of 15 tell nothing of nine tenths.

    By the upper end of Wilson's interval of 90 %; by the share itself where nobody has counted the questions.
    """
    if not questions:
        return share < bound
    spread = Z90**2 / questions
    middle = share + spread / 2
    half = math.sqrt(spread * (share * (1 - share) + spread / 4))
    return (middle + half) / (1 + spread) < bound


def summarise(agreement: Sequence[AgreementCheck], labelled: Sequence[LabelledCheck] = ()) -> Readiness:
    """The shares of all batches together."""
    outcomes = Counter(one.outcome for one in agreement)
    pairs = outcomes.pop("pair", 0)
    return Readiness(
        questions=len(agreement),
        malformed=_share(one.malformed for one in agreement) or 0.0,
        changed=_changed(agreement),
        agrees_with_itself=_share(one.agrees_with_itself for one in agreement),
        agrees_from_another=_share(one.agrees_from_another for one in agreement),
        labelled=len(labelled),
        greedy=_share(one.greedy for one in labelled),
        revised=_share(one.revised for one in labelled),
        pairs=pairs,
        filters=dict(outcomes),
        unfinished=dict(Counter(one.lost_at for one in agreement if one.outcome == UNFINISHED and one.lost_at)),
        compared=sum(one.agrees_from_another is not None for one in agreement),
    )


def _changed(agreement: Sequence[AgreementCheck]) -> float | None:
    """The share of answers that criticism changes, of those that the critic approves or that were to be revised.

    Lost revisions count as often changed as the others. Left out, they would make it too low.
    """
    approved = sum(one.outcome == ANSWER_APPROVED for one in agreement)
    compared = [one.changed for one in agreement if one.changed is not None and one.outcome != ANSWER_APPROVED]
    lost = sum(one.lost_at == "revision" for one in agreement)
    if not compared:
        return 0.0 if approved and not lost else None
    return fmean(compared) * (len(compared) + lost) / (len(compared) + lost + approved)


def _share(values: Iterable[bool | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"
