"""Summed log-probabilities against the plain computation, in value, gradient and memory."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from savi.objective.logps import segment_logps

TOKENS, WIDTH, VOCABULARY, COUNT = 37, 8, 19, 5


@pytest.fixture
def head() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(WIDTH, VOCABULARY, bias=False)


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states, targets and segments, the last in no order; segment 3 has no token."""
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(TOKENS, WIDTH, generator=generator)
    targets = torch.randint(VOCABULARY, (TOKENS,), generator=generator)
    segments = torch.tensor([0, 1, 2, 4])[torch.randint(4, (TOKENS,), generator=generator)]
    return hidden, targets, segments


def plain(hidden: Tensor, head: nn.Module, targets: Tensor, segments: Tensor) -> Tensor:
    logps = head(hidden).float().log_softmax(-1)[torch.arange(len(targets)), targets]
    return torch.stack([logps[segments == segment].sum() for segment in range(COUNT)])


def test_by_hand() -> None:
    # An identity head over hidden states log(1, 2, 5) and log(3, 3, 2): targets 2 and 0 have p = 5/8 and 3/8.
    hidden = torch.tensor([[1.0, 2.0, 5.0], [3.0, 3.0, 2.0], [1.0, 1.0, 2.0]]).log()
    sums = segment_logps(hidden, nn.Identity(), torch.tensor([2, 0, 2]), torch.tensor([1, 1, 0]), 3)
    assert sums.tolist() == pytest.approx([math.log(1 / 2), math.log(5 / 8) + math.log(3 / 8), 0.0])


@pytest.mark.parametrize("chunk", [1, 5, TOKENS, 1024])
def test_values_and_gradients_are_the_plain_ones(
    chunk: int, head: nn.Linear, batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    hidden, targets, segments = batch
    weights = torch.tensor([1.0, -2.0, 0.5, 3.0, 0.25])
    hidden.requires_grad_()
    expected = plain(hidden, head, targets, segments)
    expected_gradients = torch.autograd.grad((weights * expected).sum(), (hidden, head.weight))
    sums = segment_logps(hidden, head, targets, segments, COUNT, chunk)
    gradients = torch.autograd.grad((weights * sums).sum(), (hidden, head.weight))
    torch.testing.assert_close(sums, expected, atol=1e-5, rtol=1e-6)
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_without_gradients_nothing_is_kept(head: nn.Linear, batch: tuple[Tensor, Tensor, Tensor]) -> None:
    hidden, targets, segments = batch
    with torch.no_grad():
        sums = segment_logps(hidden, head, targets, segments, COUNT, 8)
    assert not sums.requires_grad
    torch.testing.assert_close(sums, plain(hidden, head, targets, segments).detach(), atol=1e-5, rtol=1e-6)


def test_logits_of_a_chunk_at_a_time_and_none_kept_for_backward(
    head: nn.Linear, batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    hidden, targets, segments = batch
    rows: list[int] = []
    head.register_forward_hook(lambda module, inputs, output: rows.append(len(output)))
    kept: list[tuple[int, ...]] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tuple(tensor.shape))
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        sums = segment_logps(hidden.requires_grad_(), head, targets, segments, COUNT, 10)
    assert rows == [10, 10, 10, 7]
    assert not [shape for shape in kept if VOCABULARY in shape and shape != head.weight.shape]
    sums.sum().backward()
    assert sorted(rows) == sorted([10, 10, 10, 7] * 2)


def test_half_precision_is_summed_in_float32(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    hidden, targets, segments = batch
    torch.manual_seed(0)
    head = nn.Linear(WIDTH, VOCABULARY, bias=False, dtype=torch.bfloat16)
    sums = segment_logps(hidden.bfloat16(), head, targets, segments, COUNT, 8)
    assert sums.dtype == torch.float32
    torch.testing.assert_close(sums, plain(hidden.bfloat16(), head, targets, segments), atol=1e-5, rtol=1e-6)


def test_no_tokens_at_all(head: nn.Linear) -> None:
    nothing = torch.zeros(0, dtype=torch.long)
    assert segment_logps(torch.zeros(0, WIDTH), head, nothing, nothing, 2).tolist() == [0.0, 0.0]
