"""The plain way, on a model whose clips could be shared: it scores and writes what the tree does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from savi.inference import GenerateRequest, ScoreRequest
from savi.models.adapters import LoraSettings, attach_lora
from savi.models.load import BaseSettings, load_base
from savi.models.video_lm import VideoLM
from savi.models.ways import Way
from savi.types import Sampling
from tests.miniatures import build_lm, noise_clip

CLIPS = [noise_clip(0), noise_clip(1, 40, 90)]
REQUESTS = [GenerateRequest(i % 2, "question " + "x" * i, seed=100 + i) for i in range(4)]
PROMPTS = [ScoreRequest(1, "what is it?", ("a cat", "no")), ScoreRequest(0, "where", ("on the mat",))]


@pytest.fixture(scope="module")
def shared(random_base: Path) -> VideoLM:
    return build_lm(random_base)


@pytest.fixture(scope="module")
def plain(random_base: Path, shared: VideoLM) -> VideoLM:
    base = replace(load_base(BaseSettings(path=str(random_base))), way=Way("plain", "It is asked for"))
    lm = VideoLM(base, attach_lora(base.model, base.family, LoraSettings(r=4, alpha=8)))
    lm.peft_model.load_state_dict(shared.peft_model.state_dict())
    return lm


@pytest.mark.parametrize("sampling", [Sampling(temperature=0, max_new_tokens=8), Sampling(max_new_tokens=8)])
def test_it_writes_what_the_tree_writes(plain: VideoLM, shared: VideoLM, sampling: Sampling) -> None:
    clips, frames = zip(*CLIPS, strict=True)
    ours = plain.encode(clips, frames).generate(REQUESTS, sampling)
    theirs = shared.encode(clips, frames).generate(REQUESTS, sampling)
    for one, other in zip(ours, theirs, strict=True):
        assert replace(one, logp=0.0) == replace(other, logp=0.0)
        assert one.logp == pytest.approx(other.logp, abs=1e-4)


def test_it_scores_what_the_tree_scores(plain: VideoLM, shared: VideoLM) -> None:
    clips, frames = zip(*CLIPS, strict=True)
    ours, theirs = plain.encode(clips, frames).score(PROMPTS), shared.encode(clips, frames).score(PROMPTS)
    torch.testing.assert_close(ours.logps, theirs.logps, atol=1e-4, rtol=0)
    assert ours.lengths.tolist() == theirs.lengths.tolist()


def test_what_a_checkpoint_configures_for_generation_changes_no_draw(plain: VideoLM) -> None:
    """Its penalty would keep a model from repeating itself, and the log-probability would be another's."""
    clips, frames = zip(*CLIPS, strict=True)
    session = plain.encode(clips, frames)
    before = session.generate(REQUESTS, Sampling(temperature=0, max_new_tokens=8))
    own = plain.model.generation_config
    plain.model.generation_config.repetition_penalty = 10.0
    try:
        assert session.generate(REQUESTS, Sampling(temperature=0, max_new_tokens=8)) == before
        assert plain.model.generation_config is own
    finally:
        plain.model.generation_config.repetition_penalty = None


def test_a_reply_may_end_with_its_first_token(plain: VideoLM, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = frozenset(range(plain.model.get_output_embeddings().weight.shape[0]))
    monkeypatch.setattr(plain.chat, "end_ids", everything)
    clips, frames = zip(*CLIPS, strict=True)
    for reply in plain.encode(clips, frames).generate(REQUESTS, Sampling(max_new_tokens=8)):
        assert (reply.text, reply.tokens, reply.finished) == ("", 1, True)


def test_generation_in_training_mode_is_refused(plain: VideoLM) -> None:
    clips, frames = zip(*CLIPS, strict=True)
    session = plain.encode(clips, frames)
    plain.model.train()
    try:
        with pytest.raises(RuntimeError, match="call eval"):
            session.generate(REQUESTS, Sampling(max_new_tokens=2))
    finally:
        plain.model.eval()
