"""What is asked about held-out clips, of a real miniature whose adapter changes its replies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.tuners_utils import BaseTunerLayer

from savi.alignment.held_out import SAMPLES, HeldOut
from savi.critique.chain import CritiqueChain
from savi.critique.filters import FilterSettings
from savi.critique.round import Round
from savi.critique.settings import ChainSettings
from savi.critique.turns import CRITIQUE_AND_REVISE
from savi.inference import GenerateRequest, Reply
from savi.models.session import VideoLMSession
from savi.models.video_lm import VideoLM
from savi.prompts.templates import VIDEOSAVI_2
from savi.types import ASPECTS, Clip, Labelled, Sampling
from savi.video.decode import UndecodableClip
from tests.miniatures import build_lm, noise_clip

SEEN = [noise_clip(index, frames=4) for index in range(3)]
CLIPS = [clip for clip, _ in SEEN]
FRAMES = {clip.path: frames for clip, frames in SEEN}
SHORT = {name: Sampling(max_new_tokens=6) for name in ("question", "answer", "critique", "revision")}


def decode(sources: Iterable[Any]) -> Iterator[Any]:
    for source in sources:
        yield FRAMES.get(source) or UndecodableClip(source, "damaged") if isinstance(source, Path) else source


@pytest.fixture(scope="module")
def lm(random_base: Path) -> VideoLM:
    model = build_lm(random_base)
    model.peft_model.eval()
    return model


def held_out(lm: VideoLM, batch_clips: int = 2) -> HeldOut:
    filters = FilterSettings(most_logp_drop=None, language_logp=None, same_meaning="content")
    round = Round(lm, VIDEOSAVI_2, ChainSettings(questions_per_aspect=1, **SHORT), filters, run_seed=0, index=0)
    return HeldOut(
        CritiqueChain(round, CRITIQUE_AND_REVISE),
        ASPECTS,
        lm.peft_model.disable_adapter,
        decode,
        batch_clips,
        lambda _: None,
    )


QUESTIONS = {clip.id: ["what is it?", "where is it?"] for clip in CLIPS}


def test_replies_depend_on_the_clip_and_the_question_not_on_the_batch(lm: VideoLM) -> None:
    """A clip that can't be decoded is left out."""
    damaged = Clip("damaged", Path("damaged.mp4"))
    together = held_out(lm).measure([damaged, *CLIPS], {**QUESTIONS, "damaged": ["what is it?"]})
    alone = held_out(lm, batch_clips=1).measure(CLIPS[::-1], QUESTIONS)
    assert [one.clip for one in together] == [clip.id for clip in CLIPS for _ in range(2)]
    assert sorted(together, key=repr) == sorted(alone, key=repr)
    assert all(len(one.samples) == SAMPLES for one in together)
    assert len({one.samples for one in together}) == len(together)


def adapted(lm: VideoLM) -> bool:
    """Whether the adapter is on, in all of its layers."""
    (on,) = {not module.disable_adapters for module in lm.peft_model.modules() if isinstance(module, BaseTunerLayer)}
    return on


class Spoken:
    """Sets what is said in place of a random model's noise, and notes whether the adapter was on."""

    def __init__(self, lm: VideoLM, monkeypatch: pytest.MonkeyPatch) -> None:
        self.adapted: dict[str, set[bool]] = {}
        write = VideoLMSession.generate

        def generate(session: VideoLMSession, requests: Sequence[GenerateRequest], given: Sampling) -> list[Reply]:
            replies = write(session, requests, replace(given, max_new_tokens=1))
            texts = [self.text(request, given, lm) for request in requests]
            return [replace(one, finished=True, text=text) for one, text in zip(replies, texts, strict=True)]

        monkeypatch.setattr(VideoLMSession, "generate", generate)

    def text(self, request: GenerateRequest, sampling: Sampling, lm: VideoLM) -> str:
        kind = "question" if request.prompt.startswith("Write") else "answer"
        kind = "critique" if "Proposed answer:" in request.prompt else kind
        self.adapted.setdefault(kind, set()).add(adapted(lm))
        if kind == "question":
            return "1. what is on the left?"
        if kind == "critique":
            return "It is as the answer says.\nVerdict: right" if "dog" in request.prompt else "Verdict: wrong"
        if sampling.temperature:
            return "a cat" if request.seed % 2 else "a dog"
        return "it is a dog"


def test_the_base_asks_and_judges_and_the_model_answers(lm: VideoLM, monkeypatch: pytest.MonkeyPatch) -> None:
    spoken = Spoken(lm, monkeypatch)
    questions = held_out(lm).write_questions(CLIPS)
    assert questions == {clip.id: ["what is on the left?"] for clip in CLIPS}
    replies = held_out(lm).measure(CLIPS, questions)
    assert spoken.adapted == {"question": {False}, "answer": {True}, "critique": {False}}
    for one in replies:
        assert one.agreement == sum("dog" in sample for sample in one.samples) / SAMPLES
        assert one.found_right is True
        assert one.right is None
    labelled = [Labelled(CLIPS[0], "what is it?", "dog"), Labelled(CLIPS[1], "what is it?", "bird")]
    assert [one.right for one in held_out(lm).measure_labelled(labelled)] == [True, False]


def test_a_malformed_reply_agrees_with_nothing_and_is_not_right(lm: VideoLM, monkeypatch: pytest.MonkeyPatch) -> None:
    spoken = Spoken(lm, monkeypatch)
    monkeypatch.setattr(spoken, "text", lambda *_: "")
    replies = held_out(lm).measure(CLIPS[:1], {CLIPS[0].id: ["what is it?"]})
    (one,) = replies
    assert (one.malformed, one.agreement, one.found_right) == (True, 0.0, False)


def test_measuring_leaves_the_adapter_on_and_its_weights_alone(lm: VideoLM) -> None:
    before = [parameter.clone() for parameter in lm.peft_model.parameters()]
    held_out(lm).measure(CLIPS[:1], QUESTIONS)
    assert all(torch.equal(a, b) for a, b in zip(before, lm.peft_model.parameters(), strict=True))
    assert adapted(lm)
