"""The adapter while a model writes: part of the linear layers, with PEFT's results, and gone afterwards."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from savi.inference import GenerateRequest, Reply, ScoreRequest
from savi.models.fused_lora import MOST_ROWS, fused_adapter
from savi.models.plain import PlainSharing
from savi.models.video_lm import VideoLM
from savi.types import Sampling
from tests.miniatures import build_lm, noise_clip
from tools.tiny_models import build_qwen3_5

CLIPS = [noise_clip(0), noise_clip(1, 40, 90)]
REQUESTS = [GenerateRequest(i % 2, "question " + "x" * i, seed=100 + i) for i in range(5)]
QUESTIONS = [ScoreRequest(0, "Where is it?", ("here", "over there"))]
GREEDY, SAMPLED = Sampling(temperature=0, max_new_tokens=8), Sampling(temperature=1.0, max_new_tokens=8)


@pytest.fixture
def lm(random_base: Path) -> VideoLM:
    return build_lm(random_base)


def written(lm: VideoLM, sampling: Sampling = GREEDY) -> list[Reply]:
    clips, frames = zip(*CLIPS, strict=True)
    return lm.encode(clips, frames).generate(REQUESTS, sampling)


def written_by_peft(lm: VideoLM, monkeypatch: pytest.MonkeyPatch, sampling: Sampling = GREEDY) -> list[Reply]:
    with monkeypatch.context() as patch:
        for module in ("packed", "plain"):
            patch.setattr(f"savi.models.{module}.fused_adapter", lambda model: nullcontext())
        return written(lm, sampling)


def adapted_layers(lm: VideoLM) -> list[nn.Module]:
    return [module for module in lm.model.modules() if hasattr(module, "lora_A")]


def shared(folder: Path) -> VideoLM:
    return build_lm(folder)


def read_anew(folder: Path) -> VideoLM:
    lm = build_lm(folder)
    lm.sharing = PlainSharing(lm.model, lm.chat)
    return lm


@pytest.mark.parametrize("way", [shared, read_anew])
@pytest.mark.parametrize("type_", ["qwen2_5_vl", "qwen3_5"])
def test_replies_and_their_log_probabilities_are_those_of_peft(
    random_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, type_: str, way: Callable[[Path], VideoLM]
) -> None:
    """Of the tree, of states, and of the plain way; of a batch, and of rows that are too many for one product."""
    lm = way(random_base if type_ == "qwen2_5_vl" else build_qwen3_5(tmp_path / type_))
    for sampling in (GREEDY, SAMPLED):
        for ours, theirs in zip(written(lm, sampling), written_by_peft(lm, monkeypatch, sampling), strict=True):
            assert ours.text == theirs.text
            assert ours.logp == pytest.approx(theirs.logp, rel=1e-5)


@pytest.mark.parametrize("nf4", [False, True])
def test_a_layer_gives_what_peft_gives_where_the_base_is_not_float32(random_base: Path, nf4: bool) -> None:
    """The two round in other places. Without the adapter the difference would be ten times as large and more.

    Layers with one input are called by turns, and with inputs that are too long for one product.
    """
    lm = build_lm(random_base, nf4=nf4, dtype="bfloat16")
    mlp = next(module for name, module in lm.model.named_modules() if name.endswith("layers.1.mlp"))
    layers: list[Any] = [mlp.get_submodule(name) for name in ("gate_proj", "up_proj", "down_proj")]
    for rows in (3, MOST_ROWS + 1):
        inputs = [torch.randn(1, rows, layer.in_features).bfloat16() for layer in layers]
        inputs[1] = inputs[0]
        calls = [*zip(layers, inputs, strict=True), (layers[1], torch.ones_like(inputs[1]))]
        with torch.no_grad():
            theirs = [layer(x) for layer, x in calls]
            off = [layer.base_layer(x) for layer, x in calls]
            with fused_adapter(lm.model):
                ours = [layer(x) for layer, x in calls]
        for one, other, base in zip(ours, theirs, off, strict=True):
            assert (one - other).abs().mean() < 0.1 * (base - other).abs().mean()
            torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-2)


def test_a_model_is_afterwards_what_it_was(lm: VideoLM) -> None:
    """Weights, scores and gradients to the bit, and PEFT's forward in its place.

    The first to write may be Lightning's `Trainer.validate`, which runs in inference mode.
    """

    def scores_and_gradients() -> list[torch.Tensor]:
        lm.peft_model.zero_grad()
        scores = lm.encode([CLIPS[0][0]], [CLIPS[0][1]]).score(QUESTIONS).logps
        scores.sum().backward()
        return [scores.detach(), *(p.grad.clone() for p in lm.peft_model.parameters() if p.grad is not None)]

    weights = {name: value.clone() for name, value in lm.peft_model.state_dict().items()}
    before = scores_and_gradients()
    with torch.inference_mode():
        written(lm)
    with fused_adapter(lm.model):
        assert all("forward" in vars(layer) for layer in adapted_layers(lm))
    assert not any("forward" in vars(layer) for layer in adapted_layers(lm))
    after = lm.peft_model.state_dict()
    assert weights.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in weights.items())
    assert all(map(torch.equal, before, scores_and_gradients()))


def test_the_adapter_is_that_of_the_moment_or_none(lm: VideoLM, monkeypatch: pytest.MonkeyPatch) -> None:
    first = written(lm)
    for parameter in lm.peft_model.parameters():
        if parameter.requires_grad:
            parameter.data.neg_().mul_(0.5)
    changed = written(lm)
    assert [one.text for one in changed] == [one.text for one in written_by_peft(lm, monkeypatch)]
    assert [one.text for one in changed] != [one.text for one in first]
    with lm.peft_model.disable_adapter():
        off = written(lm)
        assert [one.text for one in off] == [one.text for one in written_by_peft(lm, monkeypatch)]
        with fused_adapter(lm.model):
            assert not any("forward" in vars(layer) for layer in adapted_layers(lm))
    assert [one.text for one in off] != [one.text for one in changed]
