"""Self-consistency: the answer that most of several samples agree on over one that stands alone."""

from __future__ import annotations

from collections.abc import Sequence

from savi.critique.filters import SAMPLES_DISAGREE, UNPARSABLE
from savi.critique.question_maker import Responses
from savi.critique.round import Round
from savi.critique.turns import Question
from savi.errors import check_number
from savi.inference import Session
from savi.methods.base import QuestionMethod
from savi.methods.samples import Sampled, sample_answers
from savi.prompts.meaning import say_the_same


class SelfConsistency(QuestionMethod):
    """Prefers the answer that most samples agree with over the one that fewest do (Wang et al. 2023, as preferences).

    Args:
        samples: Answers that are sampled to each question, at least 3.
        majority: Least share of the samples that must agree with the preferred one.
    """

    def __init__(self, samples: int = 6, majority: float = 0.5) -> None:
        check_number("model.pairs.init_args.samples", samples, least=3)
        check_number("model.pairs.init_args.majority", majority, above=0, most=1)
        self.samples = samples
        self.majority = majority

    def respond(self, session: Session, questions: Sequence[Question], round: Round) -> list[Responses]:
        sampled = sample_answers(session, questions, round, self.samples)
        return [self._choose(asked.text, one) for asked, one in zip(questions, sampled, strict=True)]

    def _choose(self, question: str, sampled: Sampled) -> Responses:
        answers = sampled.answers
        if not answers:
            return Responses(turns=sampled.turns, filtered_by=UNPARSABLE)
        agreeing = [sum(say_the_same(question, one, other) for other in answers) for one in answers]
        most, fewest = max(agreeing), min(agreeing)
        if most < self.majority * self.samples:
            return Responses(turns=sampled.turns, filtered_by=SAMPLES_DISAGREE)
        # All alike: chosen and rejected are the same answer, and the filter for unchanged responses takes it.
        chosen, rejected = answers[agreeing.index(most)], answers[agreeing.index(fewest)]
        return Responses(chosen, rejected, sampled.turns)
