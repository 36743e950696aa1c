"""LoRA for teaching: float32 factors, and frozen weights in bfloat16 where a CPU multiplies these twice as fast."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

RANK = 16
FROZEN = torch.bfloat16 if torch.backends.cpu.get_cpu_capability() == "AVX512" else torch.float32
"""Of frozen weights. Without AVX-512 a step in bfloat16 takes twelve times as long as one in float32."""


class _FrozenProduct(torch.autograd.Function):
    """x @ weight.T in the precision of the weights, for float32 x, with the gradient of x alone."""

    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor) -> Tensor:
        context.save_for_backward(weight)
        return (x.to(weight.dtype) @ weight.T).float()

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (weight,) = context.saved_tensors
        return (gradient.to(weight.dtype) @ weight).float(), None


class FrozenLinear(nn.Module):
    """A linear layer without a bias whose weights are not learned."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach().to(FROZEN), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        product: Tensor = _FrozenProduct.apply(x, self.weight)
        return product


class LoRALinear(FrozenLinear):
    """The same with an update of rank RANK that is learned: weight + up @ down."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__(weight)
        rows, columns = weight.shape
        self.down = nn.Parameter(torch.empty(RANK, columns))
        self.up = nn.Parameter(torch.zeros(rows, RANK))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x @ self.down.T @ self.up.T


def adapt(language: nn.Module, seed: int) -> dict[str, nn.Parameter]:
    """Put LoRA on every linear layer of a language model, in place; the factors by name."""
    torch.manual_seed(seed)
    layers = [(name, module) for name, module in language.named_modules() if isinstance(module, nn.Linear)]
    for name, module in layers:
        language.set_submodule(name, LoRALinear(module.weight))
    return {name: weight for name, weight in language.named_parameters() if name.endswith((".up", ".down"))}


def merge(language: nn.Module, factors: dict[str, Tensor]) -> None:
    """Add what was learned to a plain language model's weights, in place, in float32."""
    for name in {name.rpartition(".")[0] for name in factors}:
        weight = language.get_parameter(f"{name}.weight")
        weight.data += factors[f"{name}.up"].float() @ factors[f"{name}.down"].float()
