"""PEFT's LoRA layers with less to compute in a training step: the adapter's product first, the base's behind it.

PEFT computes x W^T, and then adds (x A^T) B^T times the scale. Here the scale is applied to the narrow product, and in
one precision the base's product is added to the adapter's in place. This saves three passes over a layer's outputs.

The order matters under gradient checkpointing. A decoder layer ends with such a layer, and the backward pass doesn't
need the output of its base. Recomputation stops at the last value that the backward pass needs. Here that value comes
before the base's product, which is a quarter of a decoder layer's work.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

if TYPE_CHECKING:
    # It takes seconds, as it imports bitsandbytes, which brings torch's compiler along.
    from peft import LoraConfig


def put_adapters_first(config: LoraConfig, *, nf4: bool) -> None:
    """Have PEFT make this module's layers out of linear ones. nf4: whether some of them are in four bits."""
    from peft.tuners import lora

    if nf4:
        from bitsandbytes.nn import Linear4bit

        config._register_custom_module({Linear4bit: type("FourBitAdapterFirst", (_FourBits, lora.Linear4bit), {})})
    config._register_custom_module({nn.Linear: type("AdapterFirst", (_Dense, lora.Linear), {})})


class _AdapterFirst(ABC):
    """The forward of a layer with one plain adapter. For all else it is that of PEFT's class, which comes behind it."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """(..., in) to (..., out)."""
        layer: Any = self
        pefts: Any = super()
        name = layer.active_adapters[0] if len(layer.active_adapters) == 1 else None
        switched_off = layer.disable_adapters or layer.merged or name not in layer.lora_A
        if args or kwargs or switched_off or layer.lora_variant or torch.is_autocast_enabled(x.device.type):
            output: Tensor = pefts.forward(x, *args, **kwargs)
            return output
        rows = x.reshape(-1, x.shape[-1])
        down, up = layer.lora_A[name].weight, layer.lora_B[name]
        inner = linear(layer.lora_dropout[name](rows.to(down.dtype)), down) * layer.scaling[name]
        return self.add(layer.base_layer, rows, up(inner)).view(*x.shape[:-1], -1)

    @abstractmethod
    def add(self, base: nn.Module, x: Tensor, added: Tensor) -> Tensor:
        """The base's output and the adapter's. x: (rows, in). added: (rows, out), float32."""


class _Dense(_AdapterFirst):
    def add(self, base: nn.Module, x: Tensor, added: Tensor) -> Tensor:
        """The sum takes the memory of `added` where it can."""
        dense: Any = base if type(base) is nn.Linear and "forward" not in vars(base) else None
        if dense is None or not dense.weight.dtype == x.dtype == added.dtype:
            output: Tensor = base(x)
            return (output + added).to(output.dtype)
        if dense.bias is not None:
            added += dense.bias
        summed: Tensor = added.addmm_(x, dense.weight.T)
        return summed


class _FourBits(_AdapterFirst):
    def add(self, base: nn.Module, x: Tensor, added: Tensor) -> Tensor:
        output: Tensor = base(x)
        return output + added.to(output.dtype)
