"""Before training: is this model's criticism worth learning from? Measured on a sample.

Without a label there is agreement. Verdicts say little (a critic may agree with everything), so it is that of the
revisions that critiques lead to: a critic that looks at the clip leads to the same answer again and again, and from
wherever it starts. A critic that is sure and wrong can't be seen this way; a few labelled questions show it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from types import MappingProxyType

from savi.critique.chain import PAIR, CritiqueChain
from savi.critique.filters import (
    DEGENERATE_REPETITION,
    IMPLAUSIBLE,
    LENGTH_IMBALANCE,
    UNCHANGED_REVISION,
    UNFINISHED,
    UNPARSABLE,
    words,
)
from savi.critique.turns import CRITIQUE_AND_REVISE, Asked, TurnSpec
from savi.inference import Reply, Session
from savi.prompts.answers import parse_answer, parse_revision
from savi.prompts.markup import Unparsable
from savi.types import Clip, Frames, Labelled, Sampling, Trace, TurnName, derive_seed

MALFORMED = {UNPARSABLE, UNFINISHED, DEGENERATE_REPETITION}
REVISED = {PAIR, UNCHANGED_REVISION, LENGTH_IMBALANCE, IMPLAUSIBLE}

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


@dataclass(frozen=True)
class Rehearsal:
    """One question's: what of it could be measured, None for the rest."""

    malformed: bool
    changed: bool | None = None
    agrees_with_itself: bool | None = None
    agrees_from_another: bool | None = None


@dataclass(frozen=True)
class Examination:
    """One labelled question: whether the greedy answer was right, and whether its revision was."""

    greedy: bool
    revised: bool


@dataclass(frozen=True)
class Readiness:
    """Shares, 0 to 1, over `questions` of the model's own; None where nothing got so far.

    malformed: left the chain because a reply could not be used. changed: answers that the revision changes.
    agrees_with_itself: two critiques sampled for one answer lead to one revision. agrees_from_another: the critiques of
    two sampled answers lead to one revision. labelled: labelled questions that came to a revision; greedy, revised:
    which share of them was answered right, and revised right.
    """

    questions: int
    malformed: float
    changed: float | None
    agrees_with_itself: float | None
    agrees_from_another: float | None
    labelled: int = 0
    greedy: float | None = None
    revised: float | None = None

    def concerns(self) -> list[str]:
        """What runs that gained little or nothing had in common with this one, in a few words each."""
        if self.changed is None or self.agrees_with_itself is None or self.agrees_from_another is None:
            return ["no question came to a revision"]
        gained = self.revised - self.greedy if self.revised is not None and self.greedy is not None else None
        return [
            concern
            for concern, low in (
                ("many replies are malformed", self.malformed > MOST_MALFORMED),
                ("criticism changes hardly any answer", self.changed < LEAST_CHANGED),
                ("criticism changes nearly every answer", self.changed > MOST_CHANGED),
                ("two critiques of one answer disagree", self.agrees_with_itself < LEAST_AGREEMENT),
                ("critiques of two answers disagree", self.agrees_from_another < LEAST_AGREEMENT_FROM_ANOTHER),
                ("revised answers are hardly better than answers", gained is not None and gained < LEAST_ADVANTAGE),
            )
            if low
        ]

    def line(self) -> str:
        """For the terminal."""
        line = (
            f"Readiness: of {self.questions} questions {_percent(self.malformed)} are lost to malformed replies; "
            f"criticism changes {_percent(self.changed)} of the answers; two critiques of one answer lead to the same "
            f"revision in {_percent(self.agrees_with_itself)}, those of two answers in "
            f"{_percent(self.agrees_from_another)}"
        )
        if self.labelled:
            line += (
                f"; of {self.labelled} labelled questions {_percent(self.greedy)} answered right, "
                f"{_percent(self.revised)} after revision"
            )
        concerns = self.concerns()
        return line + (
            f". WARNING: runs like this gained little or nothing here: {'; '.join(concerns)}" if concerns else ""
        )


def rehearse(chain: CritiqueChain, clips: Sequence[Clip], frames: Sequence[Frames | None]) -> list[Rehearsal]:
    """Take a batch of clips through the chain, and criticize again what came to a revision."""
    traces = [(index, trace) for index, result in enumerate(chain.run(clips, frames)) for trace in result.traces]
    revised = [(index, trace) for index, trace in traces if trace.outcome in REVISED]
    rehearsals = [Rehearsal(malformed=True) for _, trace in traces if trace.outcome in MALFORMED]
    if not revised:
        return rehearsals
    session = chain.model.encode(clips, frames)
    first = [parse_answer(_said(trace, "answer")) for _, trace in revised]

    def ask(key: str, answers: Sequence[str] | None = None) -> list[Asked]:
        return _ask(chain, key, [(index, trace.question) for index, trace in revised], answers)

    other = _follow(chain, session, ask("other"), CRITIQUE_AND_REVISE[:1])
    warm = {"critique": replace(chain.settings.critique, temperature=1.0)}
    twice = [_follow(chain, session, ask(key, first), CRITIQUE_AND_REVISE[1:], warm) for key in ("one", "two")]
    from_other = _follow(chain, session, ask("other", other), CRITIQUE_AND_REVISE[1:])
    for at, (_, trace) in enumerate(revised):
        revision = parse_revision(_said(trace, "revision"))
        rehearsals.append(
            Rehearsal(
                malformed=False,
                changed=not _same(revision, first[at]),
                agrees_with_itself=_same(twice[0][at], twice[1][at]),
                agrees_from_another=_same(revision, from_other[at]),
            )
        )
    return rehearsals


def examine(
    chain: CritiqueChain, clips: Sequence[Clip], frames: Sequence[Frames | None], labelled: Sequence[Labelled]
) -> list[Examination]:
    """Answer labelled questions on these clips greedily, and revise the answers. Unreadable replies are left out."""
    session = chain.model.encode(clips, frames)
    questions = [(clips.index(one.clip), one.question) for one in labelled]
    cold = {"answer": replace(chain.settings.answer, temperature=0.0)}
    greedy = _follow(chain, session, _ask(chain, "greedy", questions), CRITIQUE_AND_REVISE[:1], cold)
    revised = _follow(chain, session, _ask(chain, "labelled", questions, greedy), CRITIQUE_AND_REVISE[1:])
    return [
        Examination(_same(answer, one.answer), _same(revision, one.answer))
        for one, answer, revision in zip(labelled, greedy, revised, strict=True)
        if answer and revision
    ]


def summarise(rehearsals: Sequence[Rehearsal], examined: Sequence[Examination] = ()) -> Readiness:
    """The shares of all batches together."""
    return Readiness(
        questions=len(rehearsals),
        malformed=_share(one.malformed for one in rehearsals) or 0.0,
        changed=_share(one.changed for one in rehearsals),
        agrees_with_itself=_share(one.agrees_with_itself for one in rehearsals),
        agrees_from_another=_share(one.agrees_from_another for one in rehearsals),
        labelled=len(examined),
        greedy=_share(one.greedy for one in examined),
        revised=_share(one.revised for one in examined),
    )


def _ask(
    chain: CritiqueChain, key: str, questions: Sequence[tuple[int, str]], answers: Sequence[str] | None = None
) -> list[Asked]:
    """Questions (index of the clip, text), with an answer each where they have one already."""
    return [
        Asked(clip, question, _seed(chain, key, at), {"answer": answers[at]} if answers else {})
        for at, (clip, question) in enumerate(questions)
    ]


def _follow(
    chain: CritiqueChain,
    session: Session,
    asked: Sequence[Asked],
    turns: Sequence[TurnSpec],
    samplings: Mapping[str, Sampling] = MappingProxyType({}),
) -> list[str]:
    """The last reply to each question after some turns, "" where one of the turns can't be read.

    samplings: of the turns that have another one than in the chain.
    """
    lost: set[int] = set()
    for turn in turns:
        said = []
        for at, (_, reply) in enumerate(chain.reply(turn, session, asked, samplings.get(turn.name))):
            said.append(_read(reply, turn.parse))
            if not said[-1]:
                lost.add(at)
        asked = [replace(one, replies={**one.replies, turn.name: text}) for one, text in zip(asked, said, strict=True)]
    return ["" if at in lost else one.replies[turns[-1].name] for at, one in enumerate(asked)]


def _read(reply: Reply, parse: Callable[[str], str]) -> str:
    try:
        return parse(reply.text) if reply.finished else ""
    except Unparsable:
        return ""


def _said(trace: Trace, name: TurnName) -> str:
    return next(turn.reply for turn in trace.turns if turn.name == name)


def _same(one: str, other: str) -> bool:
    return bool(words(one)) and words(one) == words(other)


def _seed(chain: CritiqueChain, *place: int | str) -> int:
    return derive_seed(chain.run_seed, "readiness", *place)


def _share(values: Iterable[bool | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"
