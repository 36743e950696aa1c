"""The critics: what each of them sees and is asked, and what the chain makes of its critiques."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from savi.critique.critics import AnswerToCritique, Critic
from savi.critique.round import Round
from savi.inference import GenerateRequest, Reply, ResponseScores, ScoreRequest, Session
from savi.methods import TPO, Hound, TwoSamples, VideoSAVi
from savi.methods.critics import EMPTY, Another, OtherClip, Shuffled, TextOnly, Truth, encode_empty_videos
from savi.types import Aspect, Clip, Sampling, SaviError
from savi.world.clips import training_clips
from savi.world.questions import queries
from savi.world.scenes import make_scene, scene_seed
from tests.critique.test_chain import ScriptedModel, ScriptedSession, outcomes, round_of, run, sensible

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


def criticize(
    critic: Critic, session: Session, asked: Sequence[AnswerToCritique], round: Round | None = None
) -> list[str]:
    round = round or round_of(Watcher())
    return [reply.text for reply in critic.critique(session, asked, GREEDY, round)]


def test_another_clips_frames_are_those_of_the_batchs_next_clip() -> None:
    critic = OtherClip()
    assert criticize(critic, session(3), answers(0, 1, 2, 2)) == [
        "clip_1 p0",
        "clip_2 p1",
        "clip_0 p2",
        "clip_0 p3",
    ]
    assert criticize(critic, session(1), answers(0, 0)) == ["", ""]


def test_shuffled_critiques_go_to_the_next_clip_that_has_a_question() -> None:
    critic = Shuffled()
    # Clip 1 has no question left: 0 hands to 2, and 2 to 0.
    assert criticize(critic, session(3), answers(0, 0, 2)) == ["clip_2 p2", "clip_2 p2", "clip_0 p0"]
    assert criticize(critic, session(3), answers(1, 1)) == ["", ""]


def test_the_critic_by_text_alone_sees_an_empty_video() -> None:
    round = round_of(Watcher())
    assert criticize(TextOnly(), session(2), answers(0, 1), round) == [f"{EMPTY.id} p0", f"{EMPTY.id} p1"]
    assert TextOnly().is_cached(Clip("never seen", Path("x.mp4")), round)


def test_another_model_encodes_the_clips_itself() -> None:
    other, batch = Watcher(), session(2)
    loaded: list[str] = []

    def load(path: str) -> Watcher:
        loaded.append(path)
        return other

    round = replace(round_of(batch.model), load=load)
    assert criticize(Another("bases/2"), batch, answers(1), round) == ["clip_1 p0"]
    assert loaded == ["bases/2"]
    assert len(other.calls) == 1
    assert batch.model.calls == []


def test_the_critique_that_the_critic_wrote_is_what_the_model_revises_by() -> None:
    class Stern(Critic):
        def critique(
            self, session: Session, answers: Sequence[AnswerToCritique], sampling: Sampling, round: Round
        ) -> list[Reply]:
            assert [(one.answer, one.request.prompt) for one in answers] == [
                ("red", f"criticise {one.question} red") for one in answers
            ]
            return [Reply("", 0, 0.0, True), *(Reply("it is green", 3, -1.0, True) for _ in answers[1:])]

    model = ScriptedModel(sensible)
    maker = VideoSAVi(Stern()).maker(round_of(model, questions_per_aspect=1))
    results = maker.run([Clip("clip_0", Path("0.mp4"))], [None])
    assert outcomes(results) == ["unparsable", "pair"]
    assert model.calls[-1][1][0].prompt == "revise what is 1 temporal in clip 0? red it is green"


def test_two_samples_need_no_critic() -> None:
    answers = iter(["red", "red", "blue", "red"])

    def script(clip: int, prompt: str) -> str:
        return next(answers) if prompt.startswith("answer") else sensible(clip, prompt)

    model = ScriptedModel(script)
    results = run(model, method=TwoSamples(), questions_per_aspect=1)
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
    round = round_of(judge)
    batch = judge.encode([], [])
    assert Hound().swapped(batch, [], asked, round) == [True, False, False]
    assert Hound().swapped(batch, [], [], round) == []


def test_the_judges_word_turns_the_pair() -> None:
    answers = iter(["red", "blue", "blue", "red"])

    def script(clip: int, prompt: str) -> str:
        return next(answers) if prompt.startswith("answer") else sensible(clip, prompt)

    (result,) = run(Judge(script), method=Hound(), questions_per_aspect=1)
    assert [(pair.chosen, pair.rejected) for pair in result.pairs] == [("red", "blue"), ("red", "blue")]
    assert [pair.reference_chosen_logp for pair in result.pairs] == [-7.0, -7.0]


def test_temporal_questions_alone() -> None:
    model = ScriptedModel(sensible)
    (result,) = run(model, method=TPO(), questions_per_aspect=1)
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
    assert criticize(Truth(), Watcher().encode(clips, [None] * 2), asked) == [
        f"{claim} , so {wrong} is wrong",
        f"{claim} , so {query.answer} is correct",
        "",
    ]


@pytest.mark.parametrize("path", ["videos/cat.mp4", "test-v3-0/clip_00001.mp4", "train-v3-x/clip_00001.mp4"])
def test_there_is_no_truth_of_other_clips(path: str) -> None:
    with pytest.raises(SaviError, match=r"data\.clips=world"):
        Truth().check([Clip("clip_00001", Path(path))], batch_clips=8, frames=32)


@pytest.mark.parametrize("aspects", [(), ("spatial", "spatial")])
def test_aspects_that_make_no_sense(aspects: tuple[Aspect, ...]) -> None:
    with pytest.raises(SaviError, match="one or both of spatial, temporal"):
        VideoSAVi(aspects=aspects)


def test_frames_of_an_empty_video_are_frames() -> None:
    seen = [frames for frames in encode_empty_videos(Watcher(), 2).frames if frames]
    assert [(frames.pixels.shape, frames.pixels.max().item()) for frames in seen] == [((32, 112, 112, 3), 0)] * 2


MINE = [Clip("cat", Path("videos/cat.mp4"))]


@pytest.mark.parametrize(
    ("critic", "batch_clips", "said"),
    [
        (OtherClip(), 1, "OtherClip needs data.generation_batch_clips of at least 2"),
        (Shuffled(), 1, "Shuffled needs data.generation_batch_clips of at least 2"),
        (Truth(), 8, "it goes with data.clips=world"),
        (Another("/nowhere/model"), 8, r"^model\.pairs\..*base: /nowhere/model is not a model folder"),
    ],
)
def test_a_critic_that_cannot_criticise_is_refused(critic: Critic, batch_clips: int, said: str) -> None:
    with pytest.raises(SaviError, match=said):
        VideoSAVi(critic).check(MINE, batch_clips, 32)


@pytest.mark.parametrize("critic", [None, TextOnly(), OtherClip(), Shuffled()])
def test_others_are_not(critic: Critic | None) -> None:
    VideoSAVi(critic).check(MINE, 2, 32)
