"""Before training: is this model's criticism worth learning from? Measured on a sample, without a label.

Verdicts say little (a critic may agree with everything), so agreement is that of the revisions that critiques lead to.
A critic that looks at the clip leads to the same answer again and again, and from wherever it starts. What can't be
seen this way is a critic that is sure and wrong; that takes labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from savi.critique.chain import PAIR, CritiqueChain
from savi.critique.critics import Draft, Sitting
from savi.critique.filters import (
    DEGENERATE_REPETITION,
    LENGTH_IMBALANCE,
    UNCHANGED_REVISION,
    UNFINISHED,
    UNPARSABLE,
    words,
)
from savi.prompts.parsing import Unparsable, parse_answer, parse_critique, parse_revision
from savi.types import Branch, Clip, Frames, Reply, Sampling, Trace, TurnName, derive_seed

MALFORMED = {UNPARSABLE, UNFINISHED, DEGENERATE_REPETITION}
REVISED = {PAIR, UNCHANGED_REVISION, LENGTH_IMBALANCE}

MOST_MALFORMED = 0.1
LEAST_CHANGED = 0.1
LEAST_AGREEMENT = 0.6
"""Bounds of what went well here. Provisional, until the study (`make paper`) has been run over several bases: on 16
clips the embedded base agrees with itself in 72 %, before an empty film in 55 %, with noise in its weights in 43 %."""


@dataclass(frozen=True)
class Rehearsal:
    """One question's: what of it could be measured, None for the rest."""

    malformed: bool
    changed: bool | None = None
    agrees_with_itself: bool | None = None
    agrees_from_another: bool | None = None


@dataclass(frozen=True)
class Readiness:
    """Shares, 0 to 1, over `questions`; None where nothing got so far.

    malformed: left the chain because a reply could not be used. changed: answers that the revision changes.
    agrees_with_itself: two critiques sampled for one answer lead to one revision. agrees_from_another: the critiques of
    two sampled answers lead to one revision.
    """

    questions: int
    malformed: float
    changed: float | None
    agrees_with_itself: float | None
    agrees_from_another: float | None

    def concerns(self) -> list[str]:
        """What went wrong in runs that looked like this, in a few words each."""
        if self.changed is None or self.agrees_with_itself is None or self.agrees_from_another is None:
            return ["no question came to a revision"]
        return [
            concern
            for concern, low in (
                ("many replies are malformed", self.malformed > MOST_MALFORMED),
                ("criticism changes hardly any answer", self.changed < LEAST_CHANGED),
                ("two critiques of one answer disagree", self.agrees_with_itself < LEAST_AGREEMENT),
                ("critiques of two answers disagree", self.agrees_from_another < LEAST_AGREEMENT),
            )
            if low
        ]

    def line(self) -> str:
        """For the terminal."""
        shares = ", ".join(
            f"{name} {'-' if share is None else f'{100 * share:.0f} %'}"
            for name, share in (
                ("answers changed", self.changed),
                ("malformed", self.malformed),
                ("critic agrees with itself", self.agrees_with_itself),
                ("and from another answer", self.agrees_from_another),
            )
        )
        concerns = self.concerns()
        warning = f". WARNING: runs like this went wrong here: {'; '.join(concerns)}" if concerns else ""
        return f"Readiness, {self.questions} questions: {shares}{warning}"


def rehearse(chain: CritiqueChain, clips: Sequence[Clip], frames: Sequence[Frames | None]) -> list[Rehearsal]:
    """Take a batch of clips through the chain, and criticise again what came to a revision."""
    traces = [(index, trace) for index, result in enumerate(chain.run(clips, frames)) for trace in result.traces]
    revised = [(index, trace) for index, trace in traces if trace.outcome in REVISED]
    rehearsals = [Rehearsal(malformed=True) for _, trace in traces if trace.outcome in MALFORMED]
    if not revised:
        return rehearsals
    sitting = Sitting(clips, frames, chain.model.watch(clips, frames))
    settings = chain.settings
    first = [parse_answer(_said(trace, "answer")) for _, trace in revised]
    other = _read(
        chain.model.generate(
            sitting.watched,
            [
                Branch(index, chain.prompts.answer.format(question=trace.question), _seed(chain, "other", at))
                for at, (index, trace) in enumerate(revised)
            ],
            settings.answer,
        ),
        parse_answer,
    )
    warm = replace(settings.critique, temperature=1.0)
    twice = [_revise(chain, sitting, revised, first, warm, key) for key in ("one", "two")]
    from_other = _revise(chain, sitting, revised, other, settings.critique, "other")
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


def summarise(rehearsals: Sequence[Rehearsal]) -> Readiness:
    """The shares of all batches together."""
    return Readiness(
        questions=len(rehearsals),
        malformed=_share(one.malformed for one in rehearsals) or 0.0,
        changed=_share(one.changed for one in rehearsals),
        agrees_with_itself=_share(one.agrees_with_itself for one in rehearsals),
        agrees_from_another=_share(one.agrees_from_another for one in rehearsals),
    )


def _revise(
    chain: CritiqueChain,
    sitting: Sitting,
    asked: Sequence[tuple[int, Trace]],
    answers: Sequence[str],
    sampling: Sampling,
    key: str,
) -> list[str]:
    """What the model makes of each answer after a critique, "" where a reply can't be read."""
    drafts = [
        Draft(
            trace.question,
            answer,
            Branch(index, chain.prompts.critique.format(question=trace.question, answer=answer), _seed(chain, key, at)),
        )
        for at, ((index, trace), answer) in enumerate(zip(asked, answers, strict=True))
    ]
    critiques = _read(chain.critic.criticise(sitting, drafts, sampling), parse_critique)
    prompts = [
        chain.prompts.revision.format(question=draft.question, answer=draft.answer, critique=critique)
        for draft, critique in zip(drafts, critiques, strict=True)
    ]
    branches = [
        Branch(draft.branch.clip, prompt, draft.branch.seed) for draft, prompt in zip(drafts, prompts, strict=True)
    ]
    return _read(chain.model.generate(sitting.watched, branches, chain.settings.revision), parse_revision)


def _read(replies: Sequence[Reply], parse: Callable[[str], str]) -> list[str]:
    texts = []
    for reply in replies:
        try:
            texts.append(parse(reply.text) if reply.finished else "")
        except Unparsable:
            texts.append("")
    return texts


def _said(trace: Trace, name: TurnName) -> str:
    return next(turn.reply for turn in trace.turns if turn.name == name)


def _same(one: str, other: str) -> bool:
    return bool(words(one)) and words(one) == words(other)


def _seed(chain: CritiqueChain, *place: int | str) -> int:
    return derive_seed(chain.run_seed, "readiness", *place)


def _share(values: Iterable[bool | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
