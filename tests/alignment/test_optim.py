"""The optimizer: 8-bit moments follow AdamW's own, are kept in 8 bits, and survive a checkpoint."""

from __future__ import annotations

import io

import pytest
import torch
from torch import nn

from savi.alignment.optim import OptimizerSettings, build_optimizer

pytestmark = pytest.mark.filterwarnings("ignore:Paged optimizers are not supported on CPU")


def take_steps(optimizer: torch.optim.Optimizer, weight: nn.Parameter, steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        weight.grad = 0.01 * torch.randn(weight.shape, generator=generator) + 0.01
        optimizer.step()


def fresh(name: str) -> tuple[nn.Parameter, torch.optim.Optimizer]:
    weight = nn.Parameter(torch.zeros(16, 512))
    settings = OptimizerSettings(name=name, lr=1e-3, warmup_steps=0)  # type: ignore[arg-type]  # any name
    return weight, build_optimizer([weight], settings)[0]


def test_moments_in_eight_bits_lead_where_adamw_does() -> None:
    (exact, plain), (weight, optimizer) = fresh("adamw"), fresh("paged_adamw_8bit")
    take_steps(plain, exact, range(20))
    take_steps(optimizer, weight, range(20))
    assert optimizer.state[weight]["state1"].dtype == torch.uint8
    # Twenty steps of 1e-3 in one direction, each off by what 8 bits lose.
    assert (weight - exact).abs().max() < 0.1 * exact.abs().max()


def test_eight_bit_moments_go_on_from_a_checkpoint() -> None:
    weight, optimizer = fresh("paged_adamw_8bit")
    take_steps(optimizer, weight, range(3))
    file = io.BytesIO()
    torch.save({"weight": weight.detach(), "optimizer": optimizer.state_dict()}, file)
    take_steps(optimizer, weight, range(3, 6))
    resumed, again = fresh("paged_adamw_8bit")
    saved = torch.load(io.BytesIO(file.getvalue()), weights_only=True)
    resumed.data.copy_(saved["weight"])
    again.load_state_dict(saved["optimizer"])
    take_steps(again, resumed, range(3, 6))
    assert torch.equal(resumed, weight)
