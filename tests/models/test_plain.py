"""The plain way, on a model whose clips could be shared: it scores and writes what the tree does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
import torch

from savi.inference import GenerateRequest, ScoreRequest
from savi.models.adapters import LoraSettings, attach_lora
from savi.models.load import BaseSettings, load_base
from savi.models.plain import PlainClips, PlainSharing
from savi.models.video_lm import VideoLM
from savi.models.ways import Way
from savi.types import Sampling
from tests.miniatures import build_lm, noise_clip
from tools.tiny_models import build_gemma4, build_qwen3_5

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


def count_batches(lm: VideoLM, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each call of `generate` will have had, apart from the trial."""
    rows: list[int] = []
    generate = lm.model.generate

    def counted(**given: Any) -> Any:
        if "generation_config" not in given:
            rows.append(len(given["input_ids"]))
        return generate(**given)

    monkeypatch.setattr(lm.model, "generate", counted)
    return rows


@pytest.mark.parametrize(
    ("build", "sampling"),
    [(build_gemma4, Sampling(max_new_tokens=8)), (build_qwen3_5, Sampling(temperature=0, max_new_tokens=8))],
)
def test_the_replies_about_a_clip_are_written_together_as_one_by_one(
    build: Callable[[Path], Path], sampling: Sampling, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under windows and under recurrent layers; prompts of unlike lengths; replies that end before others."""
    lm = build_lm(build(tmp_path))
    vocabulary = lm.model.get_output_embeddings().weight.shape[0]
    monkeypatch.setattr(lm.chat, "end_ids", frozenset(range(0, vocabulary, 8)))
    clips, frames = zip(noise_clip(0, frames=2), noise_clip(1, 40, 90, frames=2), strict=True)
    requests = [GenerateRequest(i % 2, "question " + "x" * 7 * i, seed=100 + i) for i in range(7)]
    alone = PlainClips(lm.model, lm.chat, frames).generate(requests, sampling)
    rows = count_batches(lm, monkeypatch)
    together = PlainSharing(lm.model, lm.chat).read(clips, frames).generate(requests, sampling)
    assert rows == [4, 3]
    assert len({len(one.ids) for one in alone}) > 1
    for one, other in zip(together, alone, strict=True):
        assert (one.ids, one.finished) == (other.ids, other.finished)
        assert one.logp == pytest.approx(other.logp, abs=1e-4)


def test_a_model_that_minds_padding_writes_one_reply_at_a_time(plain: VideoLM, monkeypatch: pytest.MonkeyPatch) -> None:
    clips, frames = zip(*CLIPS, strict=True)
    expected = [reply.text for reply in plain.encode(clips, frames).generate(REQUESTS, Sampling(max_new_tokens=4))]
    forward = plain.model.forward

    @wraps(forward)
    def careless(attention_mask: object = None, **given: Any) -> Any:
        return forward(**given)

    monkeypatch.setattr(plain.model, "forward", careless)
    monkeypatch.setattr(plain.sharing, "in_batches", None)
    alike = [GenerateRequest(0, "question", seed=seed) for seed in range(2)]  # in a batch that needs no padding
    plain.encode(clips, frames).generate(alike, Sampling(max_new_tokens=4))
    assert plain.sharing.in_batches is False
    rows = count_batches(plain, monkeypatch)
    written = plain.encode(clips, frames).generate(REQUESTS, Sampling(max_new_tokens=4))
    assert [reply.text for reply in written] == expected
    assert rows == [1, 1, 1, 1]


def test_a_batch_has_no_more_tokens_than_a_pass(plain: VideoLM, monkeypatch: pytest.MonkeyPatch) -> None:
    clips, frames = zip(*CLIPS, strict=True)
    monkeypatch.setattr("savi.models.plain.TOKENS_AT_ONCE", 1)
    rows = count_batches(plain, monkeypatch)
    plain.encode(clips, frames).generate(REQUESTS, Sampling(max_new_tokens=2))
    assert rows == [1, 1, 1, 1]


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
