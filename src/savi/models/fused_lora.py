"""LoRA as part of the linear layers while a model writes: PEFT's own forward is half of the host's time there.

PEFT adds seven operations to each linear layer, two of them casts where the base computes in bfloat16. Here the down
projections of layers with one input are rows behind their weights, in one matrix: a product gives the outputs of all of
them with the adapter's inner values, and a second one, in place, adds the adapter. So an adapted layer costs two
products. Nothing is merged: a bfloat16 weight would round small updates away.

Base weights keep their values. They move once into a matrix with room for these rows, of which they are views.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

if TYPE_CHECKING:
    from peft.tuners.lora import LoraLayer

ONE_INPUT = (
    ("q_proj", "k_proj", "v_proj"),
    ("gate_proj", "up_proj"),
    ("in_proj_qkv", "in_proj_z", "in_proj_b", "in_proj_a"),
)
"""Names of layers of one module that are called with the same input, one after the other."""

MOST_ROWS = 1024
"""Rows of an input up to which layers share a product. With more, holding all of its outputs would cost memory."""


@contextmanager
def fused_adapter(model: nn.Module) -> Iterator[None]:
    """Compute the active adapter as part of the linear layers, without gradients, as long as the context lasts.

    The adapter must not change meanwhile. Layers with anything but plain LoRA, adapted experts and everything under
    autocast keep PEFT's forward; so does a layer whose adapter is switched off.
    """
    installed: list[nn.Module] = []
    last = _Last()
    try:
        for parent in () if torch.is_autocast_enabled(_device(model).type) else list(model.modules()):
            for layers in _layers_of_one_input(parent):
                parts = [_part(layer) for layer in layers]
                group = _Group(parts, last) if all(part.dense for part in parts) else None
                for index, (layer, part) in enumerate(zip(layers, parts, strict=True)):
                    vars(layer)["forward"] = group.forward(index) if group else part
                    installed.append(layer)
        yield
    finally:
        for layer in installed:
            del vars(layer)["forward"]


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _layers_of_one_input(parent: nn.Module) -> list[list[LoraLayer]]:
    """The layers of a module with an adapter that can be fused; those with one input together."""
    fusible: dict[str, Any] = {name: layer for name, layer in parent.named_children() if _is_plain_lora(layer)}
    together = [[fusible.pop(name) for name in names if name in fusible] for names in ONE_INPUT]
    return [layers for layers in (*together, *([layer] for layer in fusible.values())) if layers]


def _is_plain_lora(module: nn.Module) -> bool:
    if not hasattr(module, "lora_A") or "forward" in vars(module):
        return False
    layer: Any = module
    base, active = layer.get_base_layer(), layer.active_adapters
    return (
        (type(base) is nn.Linear or type(base).__name__ == "Linear4bit")
        and len(active) == 1
        and active[0] in layer.lora_A
        and not (layer.disable_adapters or layer.merged or layer.lora_variant or layer.lora_bias[active[0]])
    )


@dataclass
class _Part:
    """A layer by itself. down: (r, in) and up: (r, out), in the dtype that the layer computes in, up with its scale."""

    base: nn.Module
    down: Tensor
    up: Tensor

    @property
    def dense(self) -> bool:
        """Whether a product with its weight is all that the layer does."""
        return type(self.base) is nn.Linear and "forward" not in vars(self.base)

    def __call__(self, x: Tensor) -> Tensor:
        """(..., in) to (..., out)."""
        output: Tensor = self.base(x)
        output.view(-1, output.shape[-1]).addmm_(x.reshape(-1, x.shape[-1]) @ self.down.T, self.up)
        return output


def _part(layer: LoraLayer) -> _Part:
    (name,) = layer.active_adapters
    base: Any = layer.get_base_layer()
    down, up = layer.lora_A[name].weight.detach(), layer.lora_B[name].weight.detach()
    dtype = base.weight.dtype if base.weight.is_floating_point() else base.compute_dtype
    return _Part(base, down.to(dtype), (up.T * layer.scaling[name]).to(dtype))


@dataclass
class _Last:
    """The input that layers were called with last, and their outputs that no layer has taken yet."""

    given: Tensor | None = None
    outputs: dict[object, Tensor] | None = None


class _Group:
    """Dense layers with one input.

    weight: (out of all, then r of all, in). bias: of as many rows, or None. up: (r of all, out of all), block by block.
    """

    def __init__(self, parts: Sequence[_Part], last: _Last) -> None:
        self.parts = parts
        self.last = last
        self.sizes = [part.up.shape[1] for part in parts]
        ranks = [part.up.shape[0] for part in parts]
        self.weight = _weight_with_rows([part.base for part in parts], sum(ranks))
        torch.cat([part.down for part in parts], out=self.weight[sum(self.sizes) :])
        self.up = torch.block_diag(*(part.up for part in parts))
        biases: list[Any] = [part.base.bias for part in parts]
        self.bias = None
        if any(bias is not None for bias in biases):
            self.bias = self.up.new_zeros(len(self.weight))
            for bias, own in zip(biases, self.bias.split([*self.sizes, sum(ranks)])[:-1], strict=True):
                if bias is not None:
                    own.copy_(bias.detach())

    def forward(self, index: int) -> Callable[[Tensor], Tensor]:
        """The forward of one of the layers."""

        def call(x: Tensor) -> Tensor:
            if x.numel() > MOST_ROWS * x.shape[-1]:
                return self.parts[index](x)
            last = self.last
            if last.given is not x or last.outputs is None or (self, index) not in last.outputs:
                last.given, last.outputs = x, self._outputs(x)
            output = last.outputs.pop((self, index))
            if not last.outputs:
                last.given = None
            return output

        return call

    def _outputs(self, x: Tensor) -> dict[object, Tensor]:
        rows = linear(x.reshape(-1, x.shape[-1]), self.weight, self.bias)
        outputs, inner = rows.split([sum(self.sizes), len(self.up)], dim=-1)
        outputs.addmm_(inner, self.up)
        of_each = outputs.view(*x.shape[:-1], -1).split(self.sizes, dim=-1)
        return {(self, index): output for index, output in enumerate(of_each)}


@torch.inference_mode(False)  # the weights move for good, and training can't use what inference mode has made
def _weight_with_rows(bases: Sequence[nn.Module], rows: int) -> Tensor:
    """The weights of linear layers below each other, and `rows` more below them, as one matrix that they are part of.

    Weights that aren't, because they were just loaded or moved to another device, are moved into a new one.
    """
    weights: list[Any] = [base.weight for base in bases]
    width, dtype = weights[0].shape[1], weights[0].dtype
    ends = list(accumulate(weight.shape[0] for weight in weights))
    storage = weights[0].untyped_storage()
    # Nothing else makes a storage of this size whose first rows are these weights.
    placed = storage.nbytes() == (ends[-1] + rows) * width * dtype.itemsize and all(
        weight.untyped_storage().data_ptr() == storage.data_ptr()
        and weight.storage_offset() == (end - weight.shape[0]) * width
        for weight, end in zip(weights, ends, strict=True)
    )
    matrix: Tensor = weights[0].detach()
    if placed:
        return matrix.as_strided((ends[-1] + rows, width), (width, 1), 0)
    matrix = matrix.new_zeros(ends[-1] + rows, width)
    for base, weight, end in zip(bases, weights, ends, strict=True):
        place = matrix[end - weight.shape[0] : end]
        place.copy_(weight.detach())
        base.weight = nn.Parameter(place, requires_grad=weight.requires_grad)
    return matrix
