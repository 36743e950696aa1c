"""The critique chain: an answer to each question, its critique and its revision (VideoSAVi, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from savi.critique.asking import left
from savi.critique.critics import AnswerToCritique, Critic
from savi.critique.filters import SAMPLES_DISAGREE, UNPARSABLE, filter_reply
from savi.critique.question_maker import Responses
from savi.critique.round import Round
from savi.critique.same_meaning import agree
from savi.critique.turns import ANSWER, Asked, Question, Thread, TurnSpec, said
from savi.inference import GenerateRequest, Reply, Session
from savi.prompts.markup import Unparsable, whole_sentences
from savi.types import Sampling


class CritiqueChain:
    """Takes questions through turns, with the model of a round."""

    def __init__(self, round: Round, turns: Sequence[TurnSpec], critic: Critic | None = None) -> None:
        """turns: an answer first. critic: replies in the turns of a critic; None: the model itself."""
        self.round = round
        self.turns = turns
        self.critic = critic

    def respond(self, session: Session, questions: Sequence[Question]) -> list[Responses]:
        """To each question its first answer, and the reply of the last turn, which is preferred."""
        threads = [Thread(question) for question in questions]
        for turn in self.turns:
            self._take(turn, session, left(threads))
            if turn is ANSWER and self.round.chain.answer_samples:
                self._filter_guesses(session, left(threads))
        return [
            Responses(
                chosen=thread.replies.get(self.turns[-1].name, ""),
                rejected=thread.replies.get(ANSWER.name, ""),
                turns=tuple(thread.turns),
                filtered_by=thread.filtered_by,
                critique=thread.replies.get("critique", ""),
            )
            for thread in threads
        ]

    def reply(
        self, turn: TurnSpec, session: Session, asked: Sequence[Asked], sampling: Sampling | None = None
    ) -> list[tuple[GenerateRequest, Reply]]:
        """The replies of one turn, each with the prompt on its clip. sampling: the turn's own by default."""
        sampling = sampling or self.round.chain.sampling(turn.settings)
        requests = [
            GenerateRequest(one.clip, turn.prompt(self.round.prompts, one.question, one.replies), one.seed)
            for one in asked
        ]
        if turn.by == "critic" and self.critic:
            answers = [
                AnswerToCritique(one.question, one.replies["answer"], request)
                for one, request in zip(asked, requests, strict=True)
            ]
            replies = self.critic.critique(session, answers, sampling, self.round)
        else:
            replies = session.generate(requests, sampling)
        return list(zip(requests, replies, strict=True))

    def usable(self, turn: TurnSpec, reply: Reply) -> tuple[str, bool]:
        """A reply's text, and whether it is whole. One that was cut off may be of use up to its last sentence."""
        whole = whole_sentences(reply.text) if turn.may_be_cut and self.round.filters.cut_critiques else ""
        return (reply.text, reply.finished) if reply.finished or not whole else (whole, True)

    def _take(self, turn: TurnSpec, session: Session, threads: Sequence[Thread]) -> None:
        """Take threads one turn further."""
        filters = self.round.filters
        asked = [
            Asked(one.question.clip, one.question.text, one.question.seed(turn.name), one.replies) for one in threads
        ]
        for thread, (request, reply) in zip(threads, self.reply(turn, session, asked), strict=True):
            thread.turns.append(said(turn.name, request, reply))
            text, finished = self.usable(turn, reply)
            thread.filtered_by = filter_reply(text, finished, filters)
            try:
                thread.replies[turn.name] = turn.parse(text)
            except Unparsable:
                thread.filtered_by = thread.filtered_by or UNPARSABLE
                continue
            if turn.filter and thread.filtered_by is None:
                thread.filtered_by = turn.filter(thread.replies[turn.name], filters)

    def _filter_guesses(self, session: Session, threads: Sequence[Thread]) -> None:
        """Filter questions without an answer that nearly all of several sampled ones agree with."""
        count = self.round.chain.answer_samples
        asked = [
            Asked(one.question.clip, one.question.text, one.question.seed("guess", index))
            for one in threads
            for index in range(count)
        ]
        answers = [[thread.replies["answer"]] for thread in threads]
        for place, (_, reply) in enumerate(self.reply(ANSWER, session, asked)):
            with suppress(Unparsable):
                answers[place // count].append(ANSWER.parse(reply.text))
        questions = [(thread.question.clip, thread.question.text) for thread in threads]
        found = agree(session, questions, answers, self.round.prompts, self.round.filters)
        for thread, agreed in zip(threads, found, strict=True):
            thread.filtered_by = None if agreed else SAMPLES_DISAGREE
