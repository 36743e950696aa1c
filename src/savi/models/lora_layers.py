"""PEFT's LoRA layers with less to compute in a training step: the adapter's product first, the base's behind it.

PEFT computes x W^T, and then adds (x A^T) B^T times the scale. Here the scale is applied to the narrow product, and in
one precision the base's product is added to the adapter's in place. This saves three passes over a layer's outputs.

The order matters under gradient checkpointing. A decoder layer ends with such a layer, and the backward pass doesn't
need the output of its base. Recomputation stops at the last value that the backward pass needs. Here that value comes
before the base's product, which is a quarter of a decoder layer's work.
"""

from __future__ import annotations

from typing import Any

import torch
from peft import LoraConfig
from peft.tuners.lora import Linear
from torch import Tensor, nn
from torch.nn.functional import linear


def put_adapters_first(config: LoraConfig, *, nf4: bool) -> None:
    """Have PEFT make this module's layers out of linear ones. nf4: whether some of them are in four bits."""
    if nf4:
        from bitsandbytes.nn import Linear4bit
        from peft.tuners.lora import Linear4bit as FourBitLora

        layer = type("FourBitAdapterFirst", (_AdapterFirst, FourBitLora), {"add_base": _add_four_bits})
        config._register_custom_module({Linear4bit: layer})
    config._register_custom_module({nn.Linear: AdapterFirst})


class _AdapterFirst:
    """The forward of a layer with one plain adapter. For all else it is PEFT's."""

    def forward(self: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """(..., in) to (..., out)."""
        name = self.active_adapters[0] if len(self.active_adapters) == 1 else None
        switched_off = self.disable_adapters or self.merged or name not in self.lora_A
        if args or kwargs or switched_off or self.lora_variant or torch.is_autocast_enabled(x.device.type):
            output: Tensor = super().forward(x, *args, **kwargs)  # type: ignore[misc] # of the class it is mixed with
            return output
        rows = x.reshape(-1, x.shape[-1])
        down, up = self.lora_A[name].weight, self.lora_B[name]
        inner = linear(self.lora_dropout[name](rows.to(down.dtype)), down) * self.scaling[name]
        added: Tensor = self.add_base(rows, up(inner))
        return added.view(*x.shape[:-1], -1)


class AdapterFirst(_AdapterFirst, Linear):
    """A dense layer with LoRA."""

    def add_base(self, x: Tensor, added: Tensor) -> Tensor:
        """x: (rows, in). added: (rows, out), the adapter's output, whose memory the sum takes where it can."""
        base: Any = self.base_layer
        plain = type(base) is nn.Linear and not vars(base).get("forward")
        if not plain or not base.weight.dtype == x.dtype == added.dtype:
            output: Tensor = base(x)
            return (output + added).to(output.dtype)
        if base.bias is not None:
            added += base.bias
        return added.addmm_(x, base.weight.T)


def _add_four_bits(self: Any, x: Tensor, added: Tensor) -> Tensor:
    output: Tensor = self.base_layer(x)
    return output + added.to(output.dtype)
