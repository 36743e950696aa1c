"""The readiness check: its shares by hand, and that it tells the good base from one with a weak critic."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest
import torch

from savi.critique.chain import ChainSettings, CritiqueChain
from savi.critique.critics import Critic, TextReader
from savi.critique.filters import FilterSettings
from savi.critique.readiness import Readiness, Rehearsal, rehearse, summarise
from savi.models.adapters import LoraSettings, attach_lora
from savi.models.load import BaseSettings, load_base
from savi.models.video_lm import VideoLM
from savi.prompts.templates import WORLD
from savi.types import Clip, Frames, Sampling
from savi.video.decode import decode
from savi.world.clips import training_clips
from tests.critique.test_chain import PROMPTS, ScriptedModel, sensible

WORLD_CHAIN = ChainSettings(
    questions_per_aspect=2,
    question_replies=2,
    question=Sampling(max_new_tokens=24),
    answer=Sampling(max_new_tokens=12),
    critique=Sampling(temperature=0.0, max_new_tokens=32),
    revision=Sampling(temperature=0.0, max_new_tokens=12),
)


def test_shares_by_hand() -> None:
    measured = summarise(
        [
            Rehearsal(malformed=True),
            Rehearsal(False, changed=True, agrees_with_itself=True, agrees_from_another=False),
            Rehearsal(False, changed=False, agrees_with_itself=True, agrees_from_another=False),
            Rehearsal(False, changed=True, agrees_with_itself=True, agrees_from_another=True),
        ]
    )
    assert measured == Readiness(4, 0.25, pytest.approx(2 / 3), 1.0, pytest.approx(1 / 3))
    assert measured.concerns() == ["many replies are malformed", "critiques of two answers disagree"]
    assert measured.line() == (
        "Readiness, 4 questions: answers changed 67 %, malformed 25 %, critic agrees with itself 100 %, and from "
        "another answer 33 %. WARNING: runs like this went wrong here: many replies are malformed; critiques of two "
        "answers disagree"
    )


def test_what_is_well_has_no_warning() -> None:
    assert Readiness(60, 0.0, 0.5, 0.8, 0.9).concerns() == []
    assert "WARNING" not in Readiness(60, 0.0, 0.5, 0.8, 0.9).line()
    assert Readiness(60, 0.0, 0.05, 0.8, 0.9).concerns() == ["criticism changes hardly any answer"]
    assert summarise([Rehearsal(malformed=True)]).concerns() == ["no question came to a revision"]


def test_agreement_is_that_of_the_revisions() -> None:
    answers = count()

    def script(clip: int, prompt: str) -> str:
        match prompt.split()[0]:
            case "answer":
                return f"red {next(answers)}"
            case "criticise":
                return "it is blue"
            case "revise":
                return (
                    "blue" if "spatial" in prompt else prompt.split()[-4]
                )  # the answer itself, from "red 0 it is blue"
        return sensible(clip, prompt)

    settings = ChainSettings(questions_per_aspect=1)
    chain = CritiqueChain(ScriptedModel(script), PROMPTS, settings, FilterSettings(), 0, 0)
    spatial, temporal = rehearse(chain, [Clip("a", Path("a.mp4"))], [None])
    assert spatial == Rehearsal(False, changed=True, agrees_with_itself=True, agrees_from_another=True)
    assert temporal == Rehearsal(False, changed=True, agrees_with_itself=True, agrees_from_another=False)


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Clip], list[Frames]]:
    clips = training_clips(tmp_path_factory.mktemp("clips"), 24, 0)
    return clips, [decode(clip.path) for clip in clips]


def world_model(noise: float = 0.0) -> VideoLM:
    """The embedded base; noise: added to the decoder's weights, in their standard deviations."""
    base = load_base(BaseSettings())
    generator = torch.Generator().manual_seed(0)
    for name, weights in base.model.named_parameters():
        if noise and "language_model" in name and weights.ndim == 2:
            weights.data += noise * weights.data.std() * torch.randn(weights.shape, generator=generator)
    return VideoLM(base, attach_lora(base.model, base.family, LoraSettings(r=8, alpha=16)))


def readiness(model: VideoLM, filmed: tuple[list[Clip], list[Frames]], critic: Critic | None = None) -> Readiness:
    return summarise(rehearse(CritiqueChain(model, WORLD, WORLD_CHAIN, FilterSettings(), 0, 0, critic), *filmed))


def test_the_good_base_is_told_from_those_with_a_weak_critic(filmed: tuple[list[Clip], list[Frames]]) -> None:
    good = world_model()
    assert readiness(good, filmed).concerns() == []
    for weak in (readiness(good, filmed, TextReader(good)), readiness(world_model(noise=0.3), filmed)):
        assert "two critiques of one answer disagree" in weak.concerns()
