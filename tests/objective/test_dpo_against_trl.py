"""TRL's own loss as an independent oracle.

TRL computes its loss inside `DPOTrainer._compute_loss`. That method runs here as it stands, on a bare object that
has the attributes it reads, with log-probabilities a token given in place of a model's output.
"""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from trl import DPOTrainer

from savi.objective.dpo import DPOSettings, PreferenceLosses, preference_loss, reward_metrics

PROMPT, RESPONSE = 3, 12


class Pair:
    """One pair's log-probabilities a token: rows are (chosen, rejected), columns the tokens after the first."""

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.lengths = torch.randint(2, RESPONSE + 1, (2,), generator=generator)
        columns = torch.arange(PROMPT + RESPONSE)
        self.mask = (columns >= PROMPT) & (columns < PROMPT + self.lengths[:, None])
        shifted = self.mask[:, 1:]
        self.policy = -3 * torch.rand(shifted.shape, generator=generator) * shifted
        self.reference = -3 * torch.rand(shifted.shape, generator=generator) * shifted
        self.policy.requires_grad_()


def trl_loss(pair: Pair, loss_types: list[str], weights: list[float], beta: float, smoothing: float) -> tuple[Any, Any]:
    """TRL's loss and metrics of one pair."""
    trainer = SimpleNamespace(
        accelerator=SimpleNamespace(device="cpu", gather=lambda x: x, gather_for_metrics=lambda x: x),
        args=SimpleNamespace(),
        model=torch.nn.Module(),
        aux_loss_enabled=False,
        beta=beta,
        f_divergence_type="reverse_kl",
        label_smoothing=smoothing,
        ld_alpha=None,
        loss_types=loss_types,
        loss_weights=weights,
        precompute_ref_logps=True,
        use_weighting=False,
        _metrics=defaultdict(lambda: defaultdict(list)),
        _total_train_tokens=0,
        _tp_size=1,
    )
    nothing = torch.zeros_like(pair.policy)
    output = SimpleNamespace(
        log_probs=pair.policy, entropy=nothing, mean_logits=nothing, is_top1=nothing.bool(), log_sum_sq_probs=nothing
    )
    reference = pair.reference.sum(1)
    inputs = {
        "input_ids": torch.zeros(pair.mask.shape, dtype=torch.long),
        "attention_mask": torch.ones_like(pair.mask),
        "completion_mask": pair.mask.long(),
        "ref_chosen_logps": reference[:1],
        "ref_rejected_logps": reference[1:],
    }
    loss = DPOTrainer._compute_loss(trainer, lambda **_: output, inputs, return_outputs=False)
    return loss, {name: values[0] for name, values in trainer._metrics["train"].items()}


def our_loss(pair: Pair, settings: DPOSettings) -> PreferenceLosses:
    chosen, rejected = pair.policy.sum(1).split(1)
    reference_chosen, reference_rejected = pair.reference.sum(1).split(1)
    chosen_length, rejected_length = pair.lengths.split(1)
    return preference_loss(
        chosen, rejected, reference_chosen, reference_rejected, chosen_length, rejected_length, settings
    )


def gradient(loss: Tensor, pair: Pair) -> Tensor:
    """Of the responses' tokens; the others are zeros that only stand in the same rectangle."""
    return torch.autograd.grad(loss.sum(), pair.policy, retain_graph=True)[0] * pair.mask[:, 1:]


# TRL's conservative DPO (label smoothing) lives in its "aot" loss, which sorts over the batch: nothing, for one pair.
CASES = {
    "sigmoid": (["sigmoid"], [1.0], DPOSettings()),
    "hinge": (["hinge"], [1.0], DPOSettings(loss="hinge")),
    "ipo": (["ipo"], [1.0], DPOSettings(loss="ipo")),
    "length normalised": (["sigmoid_norm"], [1.0], DPOSettings(length_normalised=True)),
    "label smoothing": (["aot"], [1.0], DPOSettings(label_smoothing=0.2)),
    "NLL term": (["sigmoid", "sft"], [1.0, 0.7], DPOSettings(nll_weight=0.7)),
    "IPO with NLL term": (["ipo", "sft"], [1.0, 0.7], DPOSettings(loss="ipo", nll_weight=0.7)),
}


@pytest.mark.parametrize("beta", [0.05, 0.1, 1.0])
@pytest.mark.parametrize("case", CASES)
def test_loss_gradient_and_metrics_are_trls(case: str, beta: float) -> None:
    loss_types, weights, settings = CASES[case]
    settings = DPOSettings(**(vars(settings) | {"beta": beta}))
    for seed in range(20):
        pair = Pair(seed)
        expected, metrics = trl_loss(pair, loss_types, weights, beta, settings.label_smoothing)
        ours = our_loss(pair, settings)
        scale = max(1.0, expected.item())
        assert ours.losses.item() == pytest.approx(expected.item(), abs=1e-6 * scale)
        torch.testing.assert_close(gradient(ours.losses, pair), gradient(expected, pair), atol=1e-6, rtol=1e-6)
        measured = reward_metrics(ours)
        for name in ("rewards/chosen", "rewards/rejected", "rewards/accuracies", "rewards/margins"):
            assert measured[name].item() == pytest.approx(metrics[name], abs=1e-6)
        for name in ("logps/chosen", "logps/rejected"):
            assert measured[name].item() == pytest.approx(metrics[name], abs=1e-5)


def test_trls_robust_loss_is_another_one_built_of_the_same_two_terms() -> None:
    """Robust DPO (Chowdhury et al. 2024) takes away the turned term where conservative DPO adds it."""
    smoothing, beta = 0.2, 0.3
    for seed in range(20):
        pair = Pair(seed)
        expected, _ = trl_loss(pair, ["robust"], [1.0], beta, smoothing)
        plain = our_loss(pair, DPOSettings(beta=beta)).losses.item()
        smoothed = our_loss(pair, DPOSettings(beta=beta, label_smoothing=smoothing)).losses.item()
        turned = (smoothed - (1 - smoothing) * plain) / smoothing
        robust = ((1 - smoothing) * plain - smoothing * turned) / (1 - 2 * smoothing)
        assert robust == pytest.approx(expected.item(), abs=1e-5)
