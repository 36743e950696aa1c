"""Best of n: of several sampled answers, the one that the model itself finds likeliest over the least likely one."""

from __future__ import annotations

from collections.abc import Sequence

from savi.critique.filters import UNPARSABLE
from savi.critique.question_maker import Responses
from savi.critique.round import Round
from savi.critique.turns import Question
from savi.errors import check_number
from savi.inference import ScoreRequest, Session
from savi.methods.base import QuestionMethod
from savi.methods.samples import sample_answers


class BestOfN(QuestionMethod):
    """Prefers the sampled answer with the highest log-probability per token over the one with the lowest.

    Args:
        samples: Answers that are sampled to each question, at least 2.
    """

    def __init__(self, samples: int = 4) -> None:
        check_number("model.pairs.init_args.samples", samples, least=2)
        self.samples = samples

    def respond(self, session: Session, questions: Sequence[Question], round: Round) -> list[Responses]:
        sampled = sample_answers(session, questions, round, self.samples)
        wanted = [place for place, one in enumerate(sampled) if len(set(one.answers)) > 1]
        requests = [
            ScoreRequest(questions[place].clip, sampled[place].prompt, tuple(dict.fromkeys(sampled[place].answers)))
            for place in wanted
        ]
        responses = [Responses(turns=one.turns, filtered_by=UNPARSABLE) for one in sampled]
        for place, one in enumerate(sampled):
            if one.answers:  # all alike: the chain's filter for unchanged responses takes it
                responses[place] = Responses(one.answers[0], one.answers[0], one.turns)
        if not requests:
            return responses
        scores = session.score(requests)
        each = iter((scores.logps / scores.lengths).tolist())
        for place, request in zip(wanted, requests, strict=True):
            ranked = sorted(zip((next(each) for _ in request.responses), request.responses, strict=True))
            responses[place] = Responses(ranked[-1][1], ranked[0][1], sampled[place].turns)
        return responses
