"""The whole chain and the readiness check on made-up models that write like real ones, each with a habit of its own."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from savi.critique.filters import FilterSettings
from savi.critique.readiness import Readiness, summarise
from savi.critique.readiness_check import check_labelled
from savi.critique.round import Round
from savi.critique.settings import ChainSettings
from savi.methods import VideoSAVi
from savi.prompts.meaning import say_the_same
from savi.prompts.templates import VIDEOSAVI_2
from savi.types import Clip, Labelled, PreferencePair, Trace
from tests.critique.test_readiness import agreement, chain_of
from tests.critique.topics import CHINESE, ENGLISH, Topic
from tests.critique.writers import (
    AlwaysRight,
    Apologizer,
    Chinese,
    Degrading,
    Guessing,
    Parrot,
    SelfAnswering,
    ThinksAloud,
    Unanswerable,
    Varying,
    read_prompt,
)

CLIPS = [Clip(f"clip_{index}", Path(f"/videos/clip_{index}.mp4")) for index in range(24)]
BATCHES: list[Sequence[Clip]] = [CLIPS[start : start + 8] for start in range(0, len(CLIPS), 8)]


def round_of(writer: Varying, round_index: int = 0, filters: FilterSettings | None = None) -> Round:
    return Round(writer, VIDEOSAVI_2, ChainSettings(), filters or FilterSettings(), 0, round_index)


def build(writer: Varying, round_index: int = 0) -> tuple[list[PreferencePair], list[Trace]]:
    maker = VideoSAVi().maker(round_of(writer, round_index))
    results = [result for batch in BATCHES for result in maker.run(batch, [None] * len(batch))]
    return [pair for one in results for pair in one.pairs], [trace for one in results for trace in one.traces]


def measure(writer: Varying, round_index: int = 0, labelled: Sequence[Labelled] = ()) -> Readiness:
    round = round_of(writer, round_index)
    checks = [check for batch in BATCHES for check in agreement(round, batch, [None] * len(batch))]
    examined = check_labelled(chain_of(round), CLIPS, [None] * len(CLIPS), labelled) if labelled else []
    return summarise(checks, examined)


def outcomes(traces: Sequence[Trace]) -> Counter[str]:
    return Counter(trace.outcome for trace in traces)


def assert_sound(writer: Varying, pairs: Sequence[PreferencePair]) -> None:
    """Every pair prefers the true fact to another one, and its question and responses are bare text."""
    for pair in pairs:
        topic = writer.topic(pair.question)
        assert topic.stated(pair.chosen) == topic.fact(pair.clip)
        assert topic.stated(pair.rejected) not in (None, topic.fact(pair.clip))
        for text in (pair.chosen, pair.rejected):
            assert not re.search(r"think>|draft|apologi|sorry|thank|earlier answer|verdict|critique|\n", text, re.I)


def share_of_wrong_answers(writer: Varying, traces: Sequence[Trace]) -> float:
    """By the writer's own coins."""
    answers = [(trace.clip, turn) for trace in traces for turn in trace.turns if turn.name == "answer"]
    return sum(not writer.knows(clip, turn.prompt, turn.seed) for clip, turn in answers) / len(answers)


@pytest.mark.parametrize("verdicts", [True, False], ids=["verdicts", "no verdicts"])
def test_a_writer_that_is_right_after_criticism_gives_pairs_of_two_facts_alone(verdicts: bool) -> None:
    writer = Varying(verdicts=verdicts)
    pairs, traces = build(writer)
    assert_sound(writer, pairs)
    wrong = share_of_wrong_answers(writer, traces)
    assert len(traces) == 24 * 6
    assert 0.4 < wrong < 0.6
    # Each wrong answer makes a pair, and no right one does, however it is revised.
    counts = outcomes(traces)
    assert len(pairs) == counts["pair"] == round(wrong * len(traces))
    assert set(counts) == {"pair", "answer approved"} if verdicts else {"pair", "unchanged revision", "same meaning"}


@pytest.mark.parametrize("verdicts", [True, False], ids=["verdicts", "no verdicts"])
@pytest.mark.parametrize("right", [0.3, 0.5, 0.7])
def test_readiness_gives_that_writer_its_own_percentages_and_no_warning(right: float, verdicts: bool) -> None:
    writer = Varying(right, verdicts)
    labelled = [Labelled(clip, topic.questions[0], topic.fact(clip.id)) for clip in CLIPS for topic in writer.topics]
    measured = measure(writer, labelled=labelled)
    _, traces = build(writer)
    wrong = share_of_wrong_answers(writer, traces)
    assert measured.questions == len(traces)
    assert measured.malformed == 0
    assert measured.changed == pytest.approx(wrong)
    assert measured.agrees_with_itself == measured.agrees_from_another == 1
    prompts = [(one, VIDEOSAVI_2.answer.format(question=one.question)) for one in labelled]
    known = [writer.knows(one.clip.id, prompt, 0) for one, prompt in prompts]
    assert measured.labelled == len(labelled)
    assert measured.greedy == pytest.approx(sum(known) / len(known))
    assert measured.revised == 1
    assert measured.concerns() == []
    assert "WARNING" not in measured.line()
    assert measured.hopeless() is None


def test_a_critic_that_approves_of_everything_makes_no_pair_and_is_stopped() -> None:
    """No pair at all: a pair would need a verdict of wrong."""
    pairs, traces = build(AlwaysRight())
    assert pairs == []
    assert outcomes(traces) == {"answer approved": 24 * 6}
    measured = measure(AlwaysRight())
    assert "'answer approved'" in (measured.hopeless() or "")
    assert measured.changed == 0


def test_apologies_are_cut_off_or_filtered() -> None:
    """Junk: an apology, thanks, or talk about the draft in a chosen response."""
    writer = Apologizer()
    pairs, traces = build(writer)
    assert_sound(writer, pairs)
    counts = outcomes(traces)
    assert counts["task talk"] > 5  # in the middle of a sentence; in sentences of its own it is cut off
    assert counts["unparsable"] > 5
    assert counts["pair"] > 20
    assert set(counts) == {"pair", "answer approved", "task talk", "unparsable"}
    assert "many replies are malformed" in measure(writer).concerns()


def test_readiness_warns_of_lost_apologies_and_not_of_critiques_that_disagree() -> None:
    assert measure(Apologizer()).concerns() == ["many replies are malformed"]


def test_a_parrot_makes_no_pair_and_is_stopped() -> None:
    """No pair at all: revisions are the answers."""
    pairs, traces = build(Parrot())
    assert pairs == []
    assert outcomes(traces) == {"unchanged revision": 24 * 6}
    measured = measure(Parrot())
    assert "'unchanged revision'" in (measured.hopeless() or "")
    assert "criticism changes hardly any answer" in measured.concerns()


def test_answers_in_the_line_of_a_question_are_cut_off() -> None:
    """Junk: a question that tells its answer. Its pairs are otherwise those of the varying writer."""
    writer = SelfAnswering()
    pairs, traces = build(writer)
    known = {question for topic in writer.topics for question in topic.questions}
    assert {trace.question for trace in traces} <= known
    assert_sound(writer, pairs)
    assert len(traces) == 24 * 6
    assert measure(writer).concerns() == []


def test_chinese_is_judged_like_english() -> None:
    """Junk: pairs whose facts are the same, or whose chosen one is not true."""
    writer = Chinese()
    pairs, traces = build(writer)
    assert_sound(writer, pairs)
    assert len(traces) == 24 * 4
    counts = outcomes(traces)
    assert set(counts) <= {"pair", "answer approved", "length imbalance"}
    assert len(pairs) + counts["length imbalance"] == round(share_of_wrong_answers(writer, traces) * len(traces))
    assert len(pairs) > 0.4 * len(traces)
    measured = measure(writer)
    assert measured.changed == pytest.approx(share_of_wrong_answers(writer, traces))
    assert measured.concerns() == []


def test_thoughts_are_no_part_of_questions_answers_verdicts_or_pairs() -> None:
    """Junk: a thought, or a part of one. An answer whose thought has no end was never written."""
    writer = ThinksAloud()
    pairs, traces = build(writer)
    assert_sound(writer, pairs)
    known = {question for topic in writer.topics for question in topic.questions}
    assert {trace.question for trace in traces} <= known
    counts = outcomes(traces)
    assert set(counts) == {"pair", "answer approved", "unparsable"}
    endless = sum(turn.name == "answer" and "</think>" not in turn.reply for trace in traces for turn in trace.turns)
    assert counts["unparsable"] == endless > 0


def test_readiness_criticizes_no_answer_that_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    criticized: list[str] = []

    def critique(self: ThinksAloud, rng: random.Random, topic: Topic, true: str, answer: str) -> str:
        criticized.append(answer)
        return Varying.critique(self, rng, topic, true, answer)

    monkeypatch.setattr(ThinksAloud, "critique", critique)
    measure(ThinksAloud())
    assert "" not in criticized


def test_questions_that_no_clip_answers_make_no_pair_and_are_stopped() -> None:
    """No pair at all: a pair would teach a model to say that it can't tell."""
    writer = Unanswerable()
    pairs, traces = build(writer)
    assert pairs == []
    assert outcomes(traces) == {"unanswerable": len(traces)}
    assert "'unanswerable'" in (measure(writer).hopeless() or "")


def test_readiness_warns_of_a_writer_that_guesses_what_no_clip_tells() -> None:
    concerns = measure(Guessing()).concerns()
    assert concerns == ["two critiques of one answer disagree", "critiques of two answers disagree"]


def test_guesses_about_what_no_clip_tells_are_filtered_where_samples_are_compared() -> None:
    maker = VideoSAVi().maker(replace(round_of(Guessing()), chain=ChainSettings(answer_samples=6)))
    results = [result for batch in BATCHES for result in maker.run(batch, [None] * len(batch))]
    counted = outcomes([trace for one in results for trace in one.traces])
    assert counted["samples disagree"] > 0.8 * counted.total()


def test_sure_answers_pass_where_samples_are_compared() -> None:
    maker = VideoSAVi().maker(replace(round_of(Varying(right=1.0)), chain=ChainSettings(answer_samples=6)))
    (result, *_) = maker.run(CLIPS[:1], [None])
    assert set(outcomes(result.traces)) == {"answer approved"}


@pytest.mark.parametrize("how", ["loop", "salad"])
def test_before_it_degrades_a_model_builds_sound_pairs(how: str) -> None:
    writer = Degrading(1, how)
    pairs, traces = build(writer, round_index=1)
    assert_sound(writer, pairs)
    assert set(outcomes(traces)) == {"pair", "answer approved"}


@pytest.mark.parametrize(
    ("how", "broken", "filtered"),
    [
        ("loop", Degrading.everything, "degenerate repetition"),
        ("loop", ("answer",), "degenerate repetition"),
        ("loop", ("critique",), "degenerate repetition"),
        ("loop", ("revision",), "degenerate repetition"),
        ("salad", ("revision",), "implausible"),
    ],
)
def test_a_model_that_has_degraded_makes_no_pair_and_is_stopped(how: str, broken: Sequence[str], filtered: str) -> None:
    """No pair at all: a response that loops or is salad must not be on either side."""
    writer = Degrading(2, how, broken)
    pairs, traces = build(writer, round_index=2)
    assert pairs == []
    counts = outcomes(traces)
    counts.pop("answer approved", None)
    assert set(counts) == {filtered}
    assert f"'{filtered}'" in (measure(writer, round_index=2).hopeless() or "")


def test_salad_has_hardly_ever_the_form_of_a_question() -> None:
    """It has where it happens to begin as questions begin: "which often cloud ran"."""
    _, traces = build(Degrading(2, "salad"), round_index=2)
    assert outcomes(traces)["unparsable"] > 0.8 * len(traces)
    assert all(re.match("which|how", trace.question) for trace in traces if trace.outcome != "unparsable")


@pytest.mark.parametrize("broken", [("answer", "revision"), ("answer",), Degrading.everything], ids=str)
def test_salad_on_either_side_is_no_pair(broken: Sequence[str]) -> None:
    pairs, _ = build(Degrading(2, "salad", broken), round_index=2)
    assert pairs == []


def test_a_run_that_loses_all_revisions_is_told_of_these() -> None:
    """Half of the answers are right, as is their approval: it is the loops that keep the others from being pairs."""
    measured = measure(Degrading(2, "loop", ("revision",), right=0.6), round_index=2)
    assert measured.pairs == 0
    assert "'degenerate repetition'" in (measured.hopeless() or "")


def test_a_prompt_is_read_back() -> None:
    question = "Question: what?\nDraft: is there one?"
    for name, fields in (
        ("spatial_question", {"count": "3"}),
        ("temporal_question", {"count": "3"}),
        ("answer", {"question": question}),
        ("critique", {"question": "what?", "answer": "it"}),
        ("revision", {"question": "what?", "answer": "it", "critique": "no\nVerdict: wrong"}),
        ("same_meaning", {"other": "that"}),
    ):
        assert read_prompt(getattr(VIDEOSAVI_2, name).format(**fields)) == (name, fields)


def test_a_topic_reads_the_fact_that_its_sentences_state() -> None:
    for writer in (Varying(), Chinese(), Unanswerable()):
        for topic in writer.topics:
            assert all(_reads(topic, random.Random(seed)) for seed in range(60))


def test_words_alone_take_no_two_facts_for_the_same_in_any_of_the_sentences() -> None:
    for topic in (*ENGLISH, *CHINESE):
        sentences = [(value, one.format(value)) for value in topic.values for one in topic.sentences]
        for question, (fact, first), (other, second) in product(topic.questions, sentences, sentences):
            assert fact == other or not say_the_same(question, first, second), (question, first, second)


def _reads(topic: Topic, rng: random.Random) -> bool:
    value = rng.choice(topic.values)
    return topic.stated(topic.sentence(rng, value)) == value
