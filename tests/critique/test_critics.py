"""The critics: what each of them sees and is asked, and what the chain makes of its critiques."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from savi.critique.chain import CritiqueChain
from savi.critique.critics import (
    EMPTY,
    AnswerToCritique,
    CriticSettings,
    OtherClipCritic,
    OtherModelCritic,
    ShuffledCritic,
    TextOnlyCritic,
    prefer_by_text,
)
from savi.critique.filters import FilterSettings
from savi.critique.settings import ChainSettings
from savi.critique.truth import TruthCritic
from savi.inference import GenerateRequest, Reply, ResponseScores, ScoreRequest, Session
from savi.types import Clip, Sampling, SaviError
from savi.world.clips import training_clips
from savi.world.questions import queries
from savi.world.scenes import make_scene, scene_seed
from tests.critique.test_chain import PROMPTS, ScriptedModel, ScriptedSession, outcomes, run, sensible

GREEDY = Sampling(temperature=0.0)


class Watcher(ScriptedModel):
    """Says which clip it had before it."""

    def __init__(self) -> None:
        super().__init__(sensible)

    def reply(self, clips: Sequence[Clip], request: GenerateRequest) -> Reply:
        return Reply(f"{clips[request.clip].id} {request.prompt}", 1, -1.0, finished=True)


def session(count: int) -> ScriptedSession:
    clips = [Clip(f"clip_{index}", Path(f"{index}.mp4")) for index in range(count)]
    return Watcher().encode(clips, [None] * count)


def answers(*clips: int) -> list[AnswerToCritique]:
    return [AnswerToCritique(f"q{at}", "red", GenerateRequest(clip, f"p{at}")) for at, clip in enumerate(clips)]


def texts(replies: Sequence[Reply]) -> list[str]:
    return [reply.text for reply in replies]


def test_another_clips_frames_are_those_of_the_batchs_next_clip() -> None:
    critic = OtherClipCritic(Watcher())
    assert texts(critic.critique(session(3), answers(0, 1, 2, 2), GREEDY)) == [
        "clip_1 p0",
        "clip_2 p1",
        "clip_0 p2",
        "clip_0 p3",
    ]
    assert texts(critic.critique(session(1), answers(0, 0), GREEDY)) == ["", ""]


def test_shuffled_critiques_go_to_the_next_clip_that_has_a_question() -> None:
    critic = ShuffledCritic(Watcher())
    # Clip 1 has no question left: 0 hands to 2, and 2 to 0.
    assert texts(critic.critique(session(3), answers(0, 0, 2), GREEDY)) == ["clip_2 p2", "clip_2 p2", "clip_0 p0"]
    assert texts(critic.critique(session(3), answers(1, 1), GREEDY)) == ["", ""]


def test_the_critic_by_text_alone_sees_an_empty_video() -> None:
    model = Watcher()
    critic = TextOnlyCritic(model)
    assert texts(critic.critique(session(2), answers(0, 1), GREEDY)) == [f"{EMPTY.id} p0", f"{EMPTY.id} p1"]
    assert critic.is_cached(Clip("never seen", Path("x.mp4")))


def test_another_model_encodes_the_clips_itself() -> None:
    model = Watcher()
    batch = session(2)
    assert texts(OtherModelCritic(model).critique(batch, answers(1), GREEDY)) == ["clip_1 p0"]
    view = OtherModelCritic(model).view(batch)
    assert isinstance(view, ScriptedSession)
    assert (view.model, view.clips, view.frames) == (model, batch.clips, batch.frames)
    assert len(model.calls) == 1
    assert batch.model.calls == []


def test_the_critique_that_the_critic_wrote_is_what_the_model_revises_by() -> None:
    class Stern:
        def is_cached(self, clip: Clip) -> bool:
            return True

        def critique(self, session: Session, answers: Sequence[AnswerToCritique], sampling: Sampling) -> list[Reply]:
            assert [(one.answer, one.request.prompt) for one in answers] == [
                ("red", f"criticise {one.question} red") for one in answers
            ]
            return [Reply("", 0, 0.0, True), *(Reply("it is green", 3, -1.0, True) for _ in answers[1:])]

    model = ScriptedModel(sensible)
    settings = ChainSettings(questions_per_aspect=1)
    chain = CritiqueChain(model, PROMPTS, settings, FilterSettings(), 0, 0, Stern())
    results = chain.run([Clip("clip_0", Path("0.mp4"))], [None])
    assert outcomes(results) == ["unparsable", "pair"]
    assert model.calls[-1][1][0].prompt == "revise what is 1 temporal in clip 0? red it is green"


def test_two_samples_need_no_critic() -> None:
    answers = iter(["red", "red", "blue", "red"])

    def script(clip: int, prompt: str) -> str:
        return next(answers) if prompt.startswith("answer") else sensible(clip, prompt)

    model = ScriptedModel(script)
    results = run(model, questions_per_aspect=1, chosen_source="sample")
    assert outcomes(results) == ["pair", "unchanged revision"]
    (pair,) = results[0].pairs
    assert (pair.chosen, pair.rejected, pair.critique) == ("blue", "red", "")
    (_, answers_asked), (_, samples_asked) = model.calls[1:]
    assert [request.prompt for request in answers_asked] == [request.prompt for request in samples_asked]
    assert not {request.seed for request in answers_asked} & {request.seed for request in samples_asked}


class Judge(ScriptedModel):
    """Before an empty video it likes short answers a token: "red" at -1 over 2 tokens, others at -4 over 4."""

    def score_reference(self, clips: Sequence[Clip], requests: Sequence[ScoreRequest]) -> ResponseScores:
        responses = [response for request in requests for response in request.responses]
        if clips[0] == EMPTY:
            logps = [-1.0 if response == "red" else -4.0 for response in responses]
        else:
            logps = [-7.0 for _ in responses]
        lengths = [2 if response == "red" else 4 for response in responses]
        return ResponseScores(torch.tensor(logps), torch.tensor(lengths))


def test_the_judge_prefers_what_is_likelier_per_token_with_an_empty_video() -> None:
    judge = Judge(sensible)
    # -1 / 2 = -0.5 a token for "red", -4 / 4 = -1 for the others.
    asked = [
        ScoreRequest(0, "p", ("blue", "red")),
        ScoreRequest(2, "p", ("red", "blue")),
        ScoreRequest(1, "p", ("blue", "green")),
    ]
    assert prefer_by_text(judge, asked) == [1, 0, 0]
    assert prefer_by_text(judge, []) == []


def test_the_judges_word_turns_the_pair() -> None:
    answers = iter(["red", "blue", "blue", "red"])

    def script(clip: int, prompt: str) -> str:
        return next(answers) if prompt.startswith("answer") else sensible(clip, prompt)

    (result,) = run(Judge(script), questions_per_aspect=1, chosen_source="sample", preference="judge")
    assert [(pair.chosen, pair.rejected) for pair in result.pairs] == [("red", "blue"), ("red", "blue")]
    assert [pair.reference_chosen_logp for pair in result.pairs] == [-7.0, -7.0]


def test_temporal_questions_alone() -> None:
    model = ScriptedModel(sensible)
    (result,) = run(model, questions_per_aspect=1, aspects=("temporal",))
    assert [pair.aspect for pair in result.pairs] == ["temporal"]
    assert [request.prompt for request in model.calls[0][1]] == ["ask 1 temporal"]


def test_the_truth_criticises_as_the_base_was_taught_to(tmp_path: Path) -> None:
    clips = training_clips(tmp_path, 2, seed=3)
    scene = make_scene(scene_seed("train", 3, 1))
    query = next(query for query in queries(scene) if query.kind == "motion")
    wrong = next(value for value in query.values if value != query.answer)
    asked = [
        AnswerToCritique(query.text, wrong, GenerateRequest(1, "p")),
        AnswerToCritique(query.text, query.answer, GenerateRequest(1, "p")),
        AnswerToCritique("which way does the white object move ?", "left", GenerateRequest(1, "p")),
    ]
    claim = query.claim.format(query.answer)
    assert texts(TruthCritic(clips).critique(Watcher().encode(clips, [None] * 2), asked, GREEDY)) == [
        f"{claim} , so {wrong} is wrong",
        f"{claim} , so {query.answer} is correct",
        "",
    ]


@pytest.mark.parametrize("path", ["videos/cat.mp4", "test-v3-0/clip_00001.mp4", "train-v3-x/clip_00001.mp4"])
def test_there_is_no_truth_of_other_clips(path: str) -> None:
    with pytest.raises(SaviError, match=r"data\.clips=world"):
        TruthCritic([Clip("clip_00001", Path(path))])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"aspects": ()}, "one or both of spatial, temporal"),
        ({"aspects": ("spatial", "spatial")}, "one or both of spatial, temporal"),
        ({"chosen_source": "sample", "critic": CriticSettings("text")}, "nobody criticizes"),
    ],
)
def test_settings_that_make_no_sense(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SaviError, match=message):
        ChainSettings(**values)


@pytest.mark.parametrize(("kind", "base"), [("another", ""), ("text", "x")])
def test_a_second_checkpoint_goes_with_another_critic_only(kind: Any, base: str) -> None:
    with pytest.raises(SaviError, match="goes with kind=another"):
        CriticSettings(kind, base)


def test_frames_of_an_empty_video_are_frames() -> None:
    seen = [frames for frames in TextOnlyCritic(Watcher()).view(session(2)).frames if frames]
    assert [(frames.pixels.shape, frames.pixels.max().item()) for frames in seen] == [((32, 112, 112, 3), 0)] * 2
