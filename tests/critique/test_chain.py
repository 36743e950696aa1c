"""The critique chain, with a scripted model: what is said to it, in which order, and what becomes of its replies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from savi.critique.clip_results import ClipResult
from savi.critique.filters import FilterSettings
from savi.critique.round import Round
from savi.critique.settings import ChainSettings
from savi.inference import GenerateRequest, Reply, ResponseScores, ScoreRequest, VideoModel
from savi.methods import PairMethod, RandomPreference, VideoSAVi
from savi.prompts.templates import Prompts
from savi.types import Aspect, Clip, Frames, Sampling

PROMPTS = Prompts(
    version="test-1",
    spatial_question="ask {count} spatial",
    temporal_question="ask {count} temporal",
    answer="answer {question}",
    critique="criticise {question} {answer}",
    revision="revise {question} {answer} {critique}",
)


class ScriptedModel:
    """Replies by a function of (clip, prompt); remembers everything that its sessions were asked."""

    def __init__(self, script: Callable[[int, str], str | Reply]) -> None:
        self.script = script
        self.calls: list[tuple[Sampling, list[GenerateRequest]]] = []
        self.scored: list[ScoreRequest] = []

    def is_cached(self, clip: Clip) -> bool:
        return True

    def encode(self, clips: Sequence[Clip], frames: Sequence[Frames | None]) -> ScriptedSession:
        return ScriptedSession(self, clips, frames)

    def reply(self, clips: Sequence[Clip], request: GenerateRequest) -> Reply:
        said = self.script(request.clip, request.prompt)
        return said if isinstance(said, Reply) else Reply(said, len(said), -1.0, finished=True)

    def score_reference(self, clips: Sequence[Clip], requests: Sequence[ScoreRequest]) -> ResponseScores:
        self.scored += requests
        count = sum(len(request.responses) for request in requests)
        return ResponseScores(-torch.arange(1.0, count + 1), torch.ones(count, dtype=torch.int64))


@dataclass(frozen=True)
class ScriptedSession:
    model: ScriptedModel
    clips: Sequence[Clip]
    frames: Sequence[Frames | None]

    def generate(self, requests: Sequence[GenerateRequest], sampling: Sampling) -> list[Reply]:
        self.model.calls.append((sampling, list(requests)))
        return [self.model.reply(self.clips, request) for request in requests]

    def score(self, requests: Sequence[ScoreRequest]) -> ResponseScores:
        raise AssertionError("building pairs needs the reference's scores alone")

    def score_reference(self, requests: Sequence[ScoreRequest]) -> ResponseScores:
        return self.model.score_reference(self.clips, requests)


def round_of(
    model: VideoModel, filters: FilterSettings | None = None, seed: int = 0, round_index: int = 0, **settings: Any
) -> Round:
    return Round(model, PROMPTS, ChainSettings(**settings), filters or FilterSettings(), seed, round_index)


def run(
    model: ScriptedModel,
    clips: int = 1,
    seed: int = 0,
    round_index: int = 0,
    method: PairMethod | None = None,
    **settings: Any,
) -> list[ClipResult]:
    filters = FilterSettings(most_logp_drop=None, language_logp=None)  # the scripted scores tell nothing of the text
    maker = (method or VideoSAVi()).maker(round_of(model, filters, seed, round_index, **settings))
    names = [Clip(f"clip_{i}", Path(f"/videos/clip_{i}.mp4")) for i in range(clips)]
    return maker.run(names, [None] * clips)


def sensible(clip: int, prompt: str) -> str:
    if prompt.startswith("ask"):
        return f"1. what is {prompt[4:]} in clip {clip}?"
    return {"answer": "red", "critique": "it is blue"}.get(prompt.split()[0], "blue" if "revise" in prompt else "no")


def outcomes(results: list[ClipResult]) -> list[str]:
    return [trace.outcome for result in results for trace in result.traces]


def test_each_turn_is_told_what_was_said_before() -> None:
    model = ScriptedModel(sensible)
    (result,) = run(model, questions_per_aspect=1)
    question = "what is 1 spatial in clip 0?"
    turns = [(turn.name, turn.prompt, turn.reply) for turn in result.traces[0].turns]
    assert turns == [
        ("question", "ask 1 spatial", f"1. {question}"),
        ("answer", f"answer {question}", "red"),
        ("critique", f"criticise {question} red", "no"),
        ("revision", f"revise {question} red no", "blue"),
    ]
    spatial, temporal = result.pairs
    assert (spatial.chosen, spatial.rejected, spatial.prompt) == ("blue", "red", f"answer {question}")
    assert (spatial.aspect, temporal.aspect) == ("spatial", "temporal")
    assert (spatial.clip, spatial.video) == ("clip_0", "/videos/clip_0.mp4")
    assert spatial.prompt_version == "test-1"
    assert (spatial.reference_chosen_logp, spatial.reference_rejected_logp) == (-1.0, -2.0)
    assert (temporal.reference_chosen_logp, temporal.reference_rejected_logp) == (-3.0, -4.0)


def test_one_generation_a_turn_serves_all_clips_and_questions() -> None:
    model = ScriptedModel(sensible)
    results = run(model, clips=3, questions_per_aspect=1)
    assert [len(requests) for _, requests in model.calls] == [6, 6, 6, 6]
    assert [len(result.pairs) for result in results] == [2, 2, 2]
    assert [pair.clip for result in results for pair in result.pairs] == [f"clip_{i}" for i in (0, 0, 1, 1, 2, 2)]


def test_every_branch_has_a_seed_of_its_own_from_run_round_and_clip() -> None:
    def seeds(**place: int) -> list[int]:
        model = ScriptedModel(sensible)
        run(model, clips=2, questions_per_aspect=1, **place)
        return [request.seed for _, requests in model.calls for request in requests]

    first = seeds(seed=0, round_index=0)
    assert len(set(first)) == len(first)
    assert seeds(seed=0, round_index=0) == first
    assert not set(first) & set(seeds(seed=1, round_index=0))
    assert not set(first) & set(seeds(seed=0, round_index=1))


def test_a_clips_seeds_do_not_hang_on_its_neighbours() -> None:
    model, alone = ScriptedModel(sensible), ScriptedModel(sensible)
    run(model, clips=3, questions_per_aspect=1)
    run(alone, clips=1, questions_per_aspect=1)
    together = [b.seed for _, requests in model.calls for b in requests if b.clip == 0]
    assert together == [b.seed for _, requests in alone.calls for b in requests]


def test_what_each_filter_takes_leaves_the_chain_and_is_named() -> None:
    replies = {
        "fine": "red",
        "cut": Reply("red red", 5, -1.0, finished=False),
        "loop": "red red red red red red red red",
        "mute": "...",
        "same": "blue",
    }

    def script(clip: int, prompt: str) -> str | Reply:
        if prompt.startswith("ask"):
            lines = [*replies, "fine"] if "spatial" in prompt else []
            return "\n".join(f"{i}. what is {name}?" for i, name in enumerate(lines, 1))
        name = prompt.split()[3].rstrip("?")
        return replies[name] if prompt.startswith("answer") else "blue"

    model = ScriptedModel(script)
    results = run(model, questions_per_aspect=6)
    assert outcomes(results) == [
        "pair",
        "unfinished",
        "degenerate repetition",
        "unparsable",
        "unchanged revision",
        "duplicate question",
        "unparsable",
    ]
    # Only what was still alive was asked on.
    assert [len(requests) for _, requests in model.calls] == [2, 5, 2, 2]


def test_no_more_questions_are_kept_than_asked_for() -> None:
    def script(clip: int, prompt: str) -> str:
        return "\n".join(f"{i}. what is {prompt} {i}?" for i in range(1, 9)) if prompt.startswith("ask") else prompt

    (result,) = run(ScriptedModel(script), questions_per_aspect=2)
    assert len(result.traces) == 4


def test_random_direction_turns_about_half_of_the_pairs_and_scores_them_as_turned() -> None:
    model = ScriptedModel(sensible)
    results = run(model, clips=100, method=RandomPreference(), questions_per_aspect=1)
    pairs = [pair for result in results for pair in result.pairs]
    turned = sum(pair.chosen == "red" for pair in pairs)
    assert 70 < turned < 130
    assert [(pair.chosen, pair.rejected) for pair in pairs] == [question.responses for question in model.scored]


def test_no_pairs_no_scoring() -> None:
    model = ScriptedModel(lambda clip, prompt: "what?" if prompt.startswith("ask") else "same")
    (result,) = run(model)
    assert result.pairs == ()
    assert model.scored == []


def test_a_chosen_response_that_the_reference_finds_unlikely_is_named_and_left_out() -> None:
    # The scripted scores are -1 (chosen), -2 for the first pair, -3 (chosen), -4 for the second; a token each.
    round = round_of(ScriptedModel(sensible), FilterSettings(least_logp=-2.5), questions_per_aspect=1)
    (result,) = VideoSAVi().maker(round).run([Clip("clip", Path("clip.mp4"))], [None])
    assert outcomes([result]) == ["pair", "implausible"]
    assert [pair.reference_chosen_logp for pair in result.pairs] == [-1.0]


def verdict(text: str) -> Callable[[int, str], str]:
    """A script whose critic ends in this."""
    return lambda clip, prompt: text if prompt.startswith("criticise") else sensible(clip, prompt)


def test_an_approved_answer_is_not_revised() -> None:
    model = ScriptedModel(verdict("It is red .\nVerdict: right"))
    (result,) = VideoSAVi().maker(round_of(model, questions_per_aspect=1)).run([Clip("clip", Path("clip.mp4"))], [None])
    assert outcomes([result]) == ["answer approved", "answer approved"]
    assert [turn.name for turn in result.traces[0].turns] == ["question", "answer", "critique"]


def test_a_question_of_the_other_aspect_is_counted_as_what_it_is() -> None:
    def script(clip: int, prompt: str) -> str:
        return "Which object moves first?" if prompt.startswith("ask") else sensible(clip, prompt)

    def aspects(wanted: tuple[Aspect, ...], filters: FilterSettings) -> list[tuple[str, str]]:
        round = round_of(ScriptedModel(script), filters, questions_per_aspect=1)
        (result,) = VideoSAVi(aspects=wanted).maker(round).run([Clip("clip", Path("clip.mp4"))], [None])
        return [(trace.aspect, trace.outcome) for trace in result.traces]

    assert aspects(("spatial",), FilterSettings()) == [("temporal", "other aspect")]
    assert aspects(("spatial",), FilterSettings(other_aspect=False))[0][0] == "spatial"
    assert aspects(("temporal",), FilterSettings())[0][0] == "temporal"


def test_decoding_alike_samples_the_revision_as_the_answer() -> None:
    own = ChainSettings(answer=Sampling(0.7, 0.9, 20), revision=Sampling(0.0, 1.0, 30))
    assert own.sampling("revision") == Sampling(0.0, 1.0, 30)
    alike = replace(own, decoding="alike")
    assert alike.sampling("revision") == Sampling(0.7, 0.9, 30)
    assert alike.sampling("critique") == own.sampling("critique")
