"""The measurements of the readiness check: further turns on a sample, with the chain's own table of turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from savi.critique.chain import CritiqueChain
from savi.critique.clip_results import ClipResult
from savi.critique.filters import (
    ANSWER_APPROVED,
    DEGENERATE_REPETITION,
    IMPLAUSIBLE,
    LENGTH_IMBALANCE,
    SAME_MEANING,
    TASK_TALK,
    UNCHANGED_REVISION,
    UNFINISHED,
    UNPARSABLE,
)
from savi.critique.question_maker import PAIR
from savi.critique.readiness import AgreementCheck, LabelledCheck
from savi.critique.same_meaning import AnswerPair, same_meaning
from savi.critique.turns import CRITIQUE_AND_REVISE, Asked, TurnSpec
from savi.inference import Reply, Session
from savi.prompts.answers import parse_answer, parse_revision
from savi.prompts.markup import Unparsable
from savi.prompts.meaning import has_key_words
from savi.prompts.options import meant
from savi.types import Clip, Frames, Labelled, Sampling, Trace, TurnName, derive_seed

MALFORMED = {UNPARSABLE, UNFINISHED, DEGENERATE_REPETITION, TASK_TALK}
REVISED = {PAIR, UNCHANGED_REVISION, SAME_MEANING, LENGTH_IMBALANCE, IMPLAUSIBLE}


def check_agreement(
    chain: CritiqueChain, built: Sequence[ClipResult], clips: Sequence[Clip], frames: Sequence[Frames | None]
) -> list[AgreementCheck]:
    """Criticize again what came to a revision. built: what the chain made of the batch of clips."""
    traces = [(index, trace) for index, result in enumerate(built) for trace in result.traces]
    revised = [(index, trace) for index, trace in traces if trace.outcome in REVISED]
    checks = [_without_revision(trace) for _, trace in traces if trace.outcome not in REVISED]
    if not revised:
        return checks
    session = chain.round.model.encode(clips, frames)
    first = [parse_answer(_said(trace, "answer")) for _, trace in revised]

    def ask(key: str, answers: Sequence[str] | None = None) -> list[Asked]:
        return _ask(chain, session, key, [(index, trace.question) for index, trace in revised], answers)

    def same(one: Sequence[str], other: Sequence[str]) -> list[bool | None]:
        return _same(chain, session, [(index, trace.question) for index, trace in revised], one, other)

    other = _follow(chain, session, ask("other"), CRITIQUE_AND_REVISE[:1])
    warm = {"critique": replace(chain.round.chain.critique, temperature=1.0)}
    twice = [_follow(chain, session, ask(key, first), CRITIQUE_AND_REVISE[1:], warm) for key in ("one", "two")]
    answered = [at for at, answer in enumerate(other) if answer]
    criticized = _follow(chain, session, [ask("other", other)[at] for at in answered], CRITIQUE_AND_REVISE[1:])
    from_other = ["" for _ in other]
    for at, revision in zip(answered, criticized, strict=True):
        from_other[at] = revision
    revisions = [parse_revision(_said(trace, "revision")) for _, trace in revised]
    unchanged, with_itself, from_another = same(revisions, first), same(*twice), same(revisions, from_other)
    return checks + [
        AgreementCheck(
            outcome=trace.outcome,
            changed=None if unchanged[at] is None else not unchanged[at],
            agrees_with_itself=with_itself[at],
            agrees_from_another=from_another[at],
        )
        for at, (_, trace) in enumerate(revised)
    ]


def check_labelled(
    chain: CritiqueChain, clips: Sequence[Clip], frames: Sequence[Frames | None], labelled: Sequence[Labelled]
) -> list[LabelledCheck]:
    """Answer labelled questions on these clips greedily, and revise the answers. What can't be read is left out."""
    session = chain.round.model.encode(clips, frames)
    questions = [(clips.index(one.clip), one.question) for one in labelled]
    cold = {"answer": replace(chain.round.chain.answer, temperature=0.0)}
    greedy = _follow(chain, session, _ask(chain, session, "greedy", questions), CRITIQUE_AND_REVISE[:1], cold)
    revised = _follow(chain, session, _ask(chain, session, "labelled", questions, greedy), CRITIQUE_AND_REVISE[1:])
    truths = [one.answer for one in labelled]
    right, right_revised = (right_answers(chain, session, questions, said, truths) for said in (greedy, revised))
    read = [at for at in range(len(labelled)) if greedy[at] and revised[at]]
    return [LabelledCheck(right[at], right_revised[at]) for at in read]


def _without_revision(trace: Trace) -> AgreementCheck:
    """Of a question that came to no revision. An answer that the critic approves is not changed."""
    return AgreementCheck(
        trace.outcome,
        trace.outcome in MALFORMED,
        changed=False if trace.outcome == ANSWER_APPROVED else None,
        lost_at=trace.turns[-1].name,
    )


def _same(
    chain: CritiqueChain,
    session: Session,
    questions: Sequence[tuple[int, str]],
    ones: Sequence[str],
    others: Sequence[str],
) -> list[bool | None]:
    """Whether two replies to each question say the same, None where one of them was lost ("")."""
    known = [at for at in range(len(questions)) if ones[at] and others[at]]
    pairs = [AnswerPair(*questions[at], ones[at], others[at]) for at in known]
    found = same_meaning(session, pairs, chain.round.prompts, chain.round.filters)
    same = dict(zip(known, found, strict=True))
    return [same.get(at) for at in range(len(questions))]


def right_answers(
    chain: CritiqueChain,
    session: Session,
    questions: Sequence[tuple[int, str]],
    said: Sequence[str],
    truths: Sequence[str],
) -> list[bool]:
    """Whether each reply gives the true answer: it says the same, or has its key words where no model can be asked.

    Letters mean their options, in the question's own list.
    """
    texts = [question for _, question in questions]
    said = [meant(text, one) for text, one in zip(texts, said, strict=True)]
    truths = [meant(text, one) for text, one in zip(texts, truths, strict=True)]
    same = _same(chain, session, questions, said, truths)
    if chain.round.filters.same_meaning == "content" or not chain.round.prompts.same_meaning:
        return [bool(known) or has_key_words(one, truth) for known, one, truth in zip(same, said, truths, strict=True)]
    return [bool(known) for known in same]


def _ask(
    chain: CritiqueChain,
    session: Session,
    key: str,
    questions: Sequence[tuple[int, str]],
    answers: Sequence[str] | None = None,
) -> list[Asked]:
    """Questions (index of the clip, text), with an answer each where they have one already.

    Seeds depend on the clip and the question alone, and not on what else is in the batch.
    """
    return [
        Asked(
            clip,
            question,
            derive_seed(chain.round.run_seed, "readiness", key, session.clips[clip].id, question),
            {"answer": answers[at]} if answers else {},
        )
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
            said.append(_read(chain, turn, reply))
            if not said[-1]:
                lost.add(at)
        asked = [replace(one, replies={**one.replies, turn.name: text}) for one, text in zip(asked, said, strict=True)]
    return ["" if at in lost else one.replies[turns[-1].name] for at, one in enumerate(asked)]


def _read(chain: CritiqueChain, turn: TurnSpec, reply: Reply) -> str:
    text, finished = chain.usable(turn, reply)
    try:
        return turn.parse(text) if finished else ""
    except Unparsable:
        return ""


def _said(trace: Trace, name: TurnName) -> str:
    return next(turn.reply for turn in trace.turns if turn.name == name)
