"""What a model says about clips that it never learned from, before the first round and after each.

The base writes questions about the clips once. A model answers each of them greedily and in samples, and its frozen
base judges the replies. No figure without a label is an accuracy: agreement of the samples also rises when a model says
the same to everything, and the judge has faults of its own. Labelled questions of the user's give an accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from savi.critique.asking import ask, left
from savi.critique.chain import CritiqueChain
from savi.critique.clip_files import ClipFiles
from savi.critique.filters import filter_reply
from savi.critique.frames import frames_ahead
from savi.critique.readiness_check import right_answers
from savi.critique.same_meaning import AnswerPair, same_meaning
from savi.critique.turns import ANSWER, CRITIQUE, Asked
from savi.distributed.collectives import gather_shares, own_shard, turns
from savi.distributed.sharding import chunks
from savi.inference import GenerateRequest, Reply, Session
from savi.prompts.critiques import read_verdict
from savi.prompts.markup import Unparsable
from savi.types import Aspect, Clip, Frames, Labelled, derive_seed
from savi.video.feeding import Decode

T = TypeVar("T")

SAMPLES = 4
"""Answers to each question that are compared with the greedy reply."""

Questions = Mapping[str, Sequence[str]]
"""Questions by the id of their clip."""


@dataclass(frozen=True)
class HeldOutReply:
    """What a model says to a question about a held-out clip.

    clip: its id. reply: greedy. tokens: of it. malformed: whether it is cut off, loops, or is no answer. right: whether
    it gives the user's answer, None for a question without one. Only such a question has the rest. samples: drawn at
    temperature 1. agreement: the share of them that say the same as the reply. critique: of the reply, by the base.
    found_right: by the critique's verdict, None where it has none; a malformed reply isn't right.
    """

    clip: str
    question: str
    reply: str
    tokens: int
    malformed: bool
    right: bool | None = None
    samples: tuple[str, ...] = ()
    agreement: float | None = None
    critique: str = ""
    found_right: bool | None = None


@dataclass(frozen=True)
class HeldOut:
    """Asks the model of a critique chain, with the chain's prompts and filters.

    aspects: of the questions. as_base: the model is its frozen base within this context. decode: of the clips' files.
    batch_clips: that go through the model together; processes share the batches. done: is told of each batch's clips.
    """

    chain: CritiqueChain
    aspects: Sequence[Aspect]
    as_base: Callable[[], AbstractContextManager[Any]]
    decode: Decode
    batch_clips: int
    done: Callable[[int], object]

    def write_questions(self, clips: Sequence[Clip]) -> Questions:
        """The base's own questions, as a round's pairs begin with them."""

        def write(clips: Sequence[Clip], frames: Sequence[Frames | None]) -> list[tuple[str, str]]:
            with self.as_base():
                asked = ask(self.chain.round.model.encode(clips, frames), self.aspects, self.chain.round)
            return [(clips[one.question.clip].id, one.question.text) for one in left(asked)]

        written: dict[str, list[str]] = {}
        for clip, question in self._in_batches(clips, write):
            written.setdefault(clip, []).append(question)
        return written

    def measure(self, clips: Sequence[Clip], questions: Questions) -> list[HeldOutReply]:
        """The model's replies to the questions about these clips."""

        def reply(clips: Sequence[Clip], frames: Sequence[Frames | None]) -> list[HeldOutReply]:
            asked = [(index, text) for index, clip in enumerate(clips) for text in questions[clip.id]]
            return self._reply(clips, frames, asked)

        return list(self._in_batches([clip for clip in clips if clip.id in questions], reply))

    def measure_labelled(self, labelled: Sequence[Labelled]) -> list[HeldOutReply]:
        """The model's replies to the user's own questions."""

        def reply(clips: Sequence[Clip], frames: Sequence[Frames | None]) -> list[HeldOutReply]:
            known = [one for one in labelled if one.clip in clips]
            asked = [(clips.index(one.clip), one.question) for one in known]
            replies, answers = self._answer(self.chain.round.model.encode(clips, frames), asked)
            with self.as_base():
                judge = self.chain.round.model.encode(clips, frames)
                right = right_answers(self.chain, judge, asked, answers, [one.answer for one in known])
            return [replace(one, right=is_right) for one, is_right in zip(replies, right, strict=True)]

        return list(self._in_batches(list(dict.fromkeys(one.clip for one in labelled)), reply))

    def _reply(
        self, clips: Sequence[Clip], frames: Sequence[Frames | None], asked: Sequence[tuple[int, str]]
    ) -> list[HeldOutReply]:
        session = self.chain.round.model.encode(clips, frames)
        replies, answers = self._answer(session, asked)
        drawn = [self._generate(session, asked, index) for index in range(1, SAMPLES + 1)]
        with self.as_base():
            judge = self.chain.round.model.encode(clips, frames)
            same = [self._same(judge, asked, answers, [self._read(one) for one in samples]) for samples in drawn]
            critiques = self._criticize(judge, asked, answers)
        return [
            replace(
                reply,
                samples=tuple(samples[at].text for samples in drawn),
                agreement=sum(known[at] for known in same) / SAMPLES,
                critique=critiques[at],
                found_right=_found_right(critiques[at]) if answers[at] else False,
            )
            for at, reply in enumerate(replies)
        ]

    def _answer(self, session: Session, asked: Sequence[tuple[int, str]]) -> tuple[list[HeldOutReply], list[str]]:
        """The greedy replies, and the answers in them, "" in a malformed one."""
        said = self._generate(session, asked, 0)
        answers = [self._read(reply) for reply in said]
        return [
            HeldOutReply(session.clips[clip].id, question, reply.text, reply.tokens, malformed=not answer)
            for (clip, question), reply, answer in zip(asked, said, answers, strict=True)
        ], answers

    def _generate(self, session: Session, asked: Sequence[tuple[int, str]], index: int) -> list[Reply]:
        """index: of the sample, 0 for the greedy reply. A sample's seed is the same in every round."""
        requests = [
            GenerateRequest(
                clip,
                ANSWER.prompt(self.chain.round.prompts, question, {}),
                derive_seed(self.chain.round.run_seed, "held out", session.clips[clip].id, question, index),
            )
            for clip, question in asked
        ]
        sampling = replace(self.chain.round.chain.answer, temperature=1.0 if index else 0.0, top_p=1.0)
        return session.generate(requests, sampling)

    def _read(self, reply: Reply) -> str:
        """The answer in a reply, "" where it is malformed."""
        if filter_reply(reply.text, reply.finished, self.chain.round.filters):
            return ""
        try:
            return ANSWER.parse(reply.text)
        except Unparsable:
            return ""

    def _same(
        self, judge: Session, asked: Sequence[tuple[int, str]], ones: Sequence[str], others: Sequence[str]
    ) -> list[bool]:
        """Whether two answers to each question say the same. A malformed one says the same as nothing."""
        known = [at for at in range(len(asked)) if ones[at] and others[at]]
        pairs = [AnswerPair(*asked[at], ones[at], others[at]) for at in known]
        found = same_meaning(judge, pairs, self.chain.round.prompts, self.chain.round.filters)
        same = dict(zip(known, found, strict=True))
        return [same.get(at, False) for at in range(len(asked))]

    def _criticize(self, judge: Session, asked: Sequence[tuple[int, str]], answers: Sequence[str]) -> list[str]:
        """The base's critique of each answer, "" where there is none to criticize."""
        known = [at for at in range(len(asked)) if answers[at]]
        of_answers = [Asked(*asked[at], 0, {"answer": answers[at]}) for at in known]
        said = self.chain.reply(CRITIQUE, judge, of_answers) if known else []
        critiques = {at: self.chain.usable(CRITIQUE, reply)[0] for at, (_, reply) in zip(known, said, strict=True)}
        return [critiques.get(at, "") for at in range(len(asked))]

    def _in_batches(
        self, clips: Sequence[Clip], run: Callable[[Sequence[Clip], Sequence[Frames | None]], list[T]]
    ) -> Iterator[T]:
        """What `run` makes of the clips that can be decoded, in all processes."""
        batches = chunks(clips, self.batch_clips)
        read = frames_ahead(own_shard(batches), self.chain.round.model.is_cached, self.decode, ClipFiles({}))

        def work() -> Iterator[list[T]]:
            # The first process tells of the progress: the others have come about as far.
            for (_, good, _), together in zip(read, turns(batches), strict=False):
                yield run(list(good), list(good.values())) if good else []
                self.done(sum(map(len, together)))

        for found in gather_shares(work, "evaluating"):
            yield from found


def _found_right(critique: str) -> bool | None:
    verdict = read_verdict(critique)
    return None if verdict is None else verdict == "right"
