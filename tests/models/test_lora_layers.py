"""The adapter's layers in training: PEFT's values and gradients, and no product that the backward pass doesn't need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from savi.inference import ScoreRequest
from savi.models.video_lm import VideoLM
from tests.miniatures import build_lm, noise_clip

QUESTION = ScoreRequest(0, "where is it?", ("here", "over there"))


def layers(lm: VideoLM, *names: str) -> list[Any]:
    return [module for name, module in lm.model.named_modules() if name.endswith(names) and hasattr(module, "lora_A")]


def values_and_gradients(layer: Any, forward: Any, x: Tensor) -> list[Tensor]:
    down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    given = x.clone().requires_grad_()
    output = forward(given)
    weights = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view_as(output)
    return [output.detach(), *torch.autograd.grad((output * weights).sum(), [given, down, up])]


@pytest.mark.parametrize(("nf4", "dtype"), [(False, "float32"), (False, "bfloat16"), (True, "bfloat16")])
def test_a_layer_has_the_values_and_gradients_of_pefts(random_base: Path, nf4: bool, dtype: Any) -> None:
    """With a bias (queries) and without one."""
    lm = build_lm(random_base, nf4=nf4, dtype=dtype)
    for layer in layers(lm, "layers.0.self_attn.q_proj", "layers.0.mlp.down_proj"):
        theirs = next(kind for kind in type(layer).__mro__ if kind.__module__.startswith("peft.")).forward
        assert theirs is not type(layer).forward
        x = torch.randn(2, 5, layer.in_features, generator=torch.Generator().manual_seed(0)).to(getattr(torch, dtype))
        ours = values_and_gradients(layer, layer, x)
        oracle = values_and_gradients(layer, lambda given, layer=layer, theirs=theirs: theirs(layer, given), x)
        for one, other in zip(ours, oracle, strict=True):
            assert one.dtype == other.dtype
            apart = 1e-6 if dtype == "float32" else 2**-7
            assert (one - other).abs().max() <= apart * other.abs().max()


class Products(TorchDispatchMode):
    """counts: products of an input with each of the weights, by where these are in memory."""

    def __init__(self, weights: list[Tensor]) -> None:
        super().__init__()
        self.counts = {weight.data_ptr(): 0 for weight in weights}
        self.shapes = {weight.data_ptr(): weight.T.shape for weight in weights}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.addmm_):
            place = args[-1].data_ptr()
            if place in self.counts and args[-1].shape == self.shapes[place]:
                self.counts[place] += 1
        return func(*args, **(kwargs or {}))


def test_a_recomputed_layer_leaves_out_its_last_product(random_base: Path) -> None:
    lm = build_lm(random_base, checkpointing=True)
    lm.model.train()
    kinds = [
        [layer.get_base_layer().weight for layer in layers(lm, f"layers.0.mlp.{name}")]
        for name in ("up_proj", "down_proj")
    ]
    (up,), (down,) = kinds
    clip, frames = noise_clip(0)
    with Products([up, down]) as products:
        lm.encode([clip], [frames]).score([QUESTION]).logps.sum().backward()
    assert list(products.counts.values()) == [2, 1]


def test_no_gradient_is_taken_of_the_embeddings(random_base: Path) -> None:
    """PEFT asks for it under checkpointing."""
    lm = build_lm(random_base, checkpointing=True)
    lm.model.train()
    given: list[bool] = []
    first = layers(lm, "layers.0.self_attn.q_proj")[0]
    first.register_forward_pre_hook(lambda _, args: given.append(args[0].requires_grad))
    clip, frames = noise_clip(0)
    lm.encode([clip], [frames]).score([QUESTION])
    assert given == [False]


def test_what_is_not_plain_lora_is_left_to_peft(random_base: Path) -> None:
    lm = build_lm(random_base)
    (layer,) = layers(lm, "layers.0.mlp.down_proj")
    assert isinstance(layer, LoraLayer)
    x = torch.randn(3, layer.in_features)
    with torch.no_grad():
        with_adapter, base = layer(x), layer.base_layer(x)
        with lm.peft_model.disable_adapter():
            torch.testing.assert_close(layer(x), base, atol=0, rtol=0)
        layer.merge()
        torch.testing.assert_close(layer(x), with_adapter, atol=1e-5, rtol=1e-5)
        layer.unmerge()
        with torch.autocast("cpu", torch.bfloat16):
            assert layer(x).dtype == torch.bfloat16
