"""Whether two answers say the same: the words' verdict and the model's, against the labels of an annotator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
import yaml

from savi.conversations import Conversation, Message, Prompt
from savi.critique.filters import FilterSettings
from savi.critique.same_meaning import AnswerPair, same_meaning
from savi.inference import GenerateRequest, Reply, ResponseScores, ScoreRequest
from savi.prompts.meaning import say_the_same, words
from savi.prompts.templates import VIDEOSAVI_1, VIDEOSAVI_2
from savi.types import Clip, Frames, Sampling

PAIRS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "same_meaning.yaml").read_text(encoding="utf-8"))
ANSWERS = [AnswerPair(0, pair["question"], pair["first"], pair["second"]) for pair in PAIRS]
LABELS: list[bool] = [pair["same"] for pair in PAIRS]

ONE_OR_SEVERAL = {("A banana", "Bananas"), ("The man comes in.", "The men come in.")}
"""Different answers that the words take for the same: plurals have the form of the singular, as a verb's "s" goes."""

LEAST_RECALL = 0.24
"""Measured: 33 of the 136 pairs that say the same. The others need the model's word."""


def follow_up(question: str, first: str, second: str) -> Conversation:
    """The conversation in which the judge is asked."""
    return (
        Message("user", VIDEOSAVI_2.answer.format(question=question), 0),
        Message("assistant", first),
        Message("user", VIDEOSAVI_2.same_meaning.format(other=second)),
    )


@dataclass
class Judge:
    """A session whose reference says Yes and No by the labels, in nats.

    It may favor Yes, and the pair whose first answer it likes (of both orders of a pair, one).
    """

    yes: float = 0.0
    place: float = 0.0
    calls: list[Sequence[ScoreRequest]] = field(default_factory=list)
    clips: Sequence[Clip] = ()
    frames: Sequence[Frames | None] = ()

    def score_reference(self, requests: Sequence[ScoreRequest]) -> ResponseScores:
        self.calls.append(requests)
        logps: list[float] = []
        for request in requests:
            if isinstance(request.prompt, str):
                logps += [-1.0] * len(request.responses)
                continue
            label, turned = self._read(request.prompt)
            margin = (1.0 if label else -1.0) + self.yes + (-self.place if turned else self.place)
            assert request.responses == ("Yes", "No")
            logps += [-3.0 + margin / 2, -3.0 - margin / 2]
        return ResponseScores(torch.tensor(logps), torch.ones(len(logps), dtype=torch.int64))

    def _read(self, prompt: Prompt) -> tuple[bool, bool]:
        for pair, label in zip(ANSWERS, LABELS, strict=True):
            for turned, (first, second) in enumerate(((pair.first, pair.second), (pair.second, pair.first))):
                if prompt == follow_up(pair.question, first, second):
                    return label, bool(turned)
        raise AssertionError(f"not a pair of the list: {prompt}")

    def generate(self, requests: Sequence[GenerateRequest], sampling: Sampling) -> list[Reply]:
        raise AssertionError("meaning is judged by likelihood")

    def score(self, requests: Sequence[ScoreRequest]) -> ResponseScores:
        raise AssertionError("meaning is judged by the frozen reference")


def test_the_list_is_balanced_and_has_no_pair_twice() -> None:
    assert len(PAIRS) >= 220
    assert 0.45 < sum(LABELS) / len(LABELS) < 0.55
    chinese = sum(any("\u4e00" <= letter <= "\u9fff" for letter in pair["question"]) for pair in PAIRS)
    assert 0.15 < chinese / len(PAIRS) < 0.25
    found = Counter((pair.question, *sorted((pair.first, pair.second))) for pair in ANSWERS)
    assert max(found.values()) == 1


def test_words_alone_take_no_different_answers_for_the_same() -> None:
    mistaken = {
        (pair.first, pair.second)
        for pair, label in zip(ANSWERS, LABELS, strict=True)
        if not label and say_the_same(pair.question, pair.first, pair.second)
    }
    assert mistaken == ONE_OR_SEVERAL


def test_words_alone_find_a_part_of_the_answers_that_say_the_same() -> None:
    found = [
        say_the_same(pair.question, pair.first, pair.second)
        for pair, label in zip(ANSWERS, LABELS, strict=True)
        if label
    ]
    assert sum(found) / len(found) >= LEAST_RECALL


def test_the_order_of_the_answers_changes_nothing() -> None:
    for pair in ANSWERS:
        one = say_the_same(pair.question, pair.first, pair.second)
        assert say_the_same(pair.question, pair.second, pair.first) == one


JUDGES = {
    "fair": Judge(),
    "favors Yes": Judge(yes=0.9),
    "favors No": Judge(yes=-0.9),
    "favors one place": Judge(place=5.0),
    "favors the other place": Judge(place=-5.0),
}


@pytest.mark.parametrize("judge", JUDGES.values(), ids=JUDGES.keys())
def test_the_model_decides_where_words_differ_and_a_liking_for_one_place_cancels_out(judge: Judge) -> None:
    judged = same_meaning(judge, ANSWERS, VIDEOSAVI_2, FilterSettings(same_meaning="model"))
    wrong = {
        (pair.first, pair.second) for pair, label, said in zip(ANSWERS, LABELS, judged, strict=True) if said != label
    }
    assert wrong == ONE_OR_SEVERAL


def test_the_model_is_asked_once_about_pairs_that_differ_in_words_and_in_both_orders() -> None:
    judge = Judge()
    same_meaning(judge, ANSWERS, VIDEOSAVI_2, FilterSettings(same_meaning="model"))
    unknown = [pair for pair in ANSWERS if not say_the_same(pair.question, pair.first, pair.second)]
    (requests,) = judge.calls
    assert [request.prompt for request in requests if not isinstance(request.prompt, str)] == [
        follow_up(pair.question, first, second)
        for pair in unknown
        for first, second in ((pair.first, pair.second), (pair.second, pair.first))
    ]
    assert {request.clip for request in requests} == {0}


def test_the_judge_reads_behind_answers_that_the_same_pass_scores() -> None:
    """So that a tree reads each answer once, however many others it is compared with."""
    judge = Judge()
    same_meaning(judge, ANSWERS, VIDEOSAVI_2, FilterSettings(same_meaning="model"))
    (requests,) = judge.calls
    scored = {(one.prompt, answer) for one in requests if isinstance(one.prompt, str) for answer in one.responses}
    asked = {(one.prompt[0].text, one.prompt[1].text) for one in requests if not isinstance(one.prompt, str)}
    assert asked == scored
    assert sum(len(one.responses) for one in requests if isinstance(one.prompt, str)) == len(scored)


@pytest.mark.parametrize("how", ["words", "content"])
def test_by_words_the_model_is_not_asked(how: Literal["words", "content"]) -> None:
    judge = Judge()
    judged = same_meaning(judge, ANSWERS, VIDEOSAVI_2, FilterSettings(same_meaning=how))
    assert judge.calls == []
    assert judged == [
        words(pair.first) == words(pair.second)
        if how == "words"
        else say_the_same(pair.question, pair.first, pair.second)
        for pair in ANSWERS
    ]


def test_prompts_without_a_question_about_meaning_ask_nobody() -> None:
    judge = Judge()
    judged = same_meaning(judge, ANSWERS, VIDEOSAVI_1, FilterSettings(same_meaning="model"))
    assert judge.calls == []
    assert sum(judged) < len(judged) / 2


def test_nothing_is_scored_where_all_words_are_the_same() -> None:
    judge = Judge()
    pair = AnswerPair(0, "What is it?", "A cup.", "a cup")
    assert same_meaning(judge, [pair], VIDEOSAVI_2, FilterSettings()) == [True]
    assert same_meaning(judge, [], VIDEOSAVI_2, FilterSettings()) == []
    assert judge.calls == []
