"""The preference losses against numbers worked out by hand, and what must hold for any input."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from savi.objective.dpo import DPOSettings, PreferenceLosses, preference_loss, reward_metrics
from savi.objective.losses import SFT, Loss, PairLogps, PairLoss
from savi.types import SaviError

# One pair. Log-ratios: chosen -10 - (-12) = 2, rejected -16 - (-15) = -1; their gap is 3.
PAIR = {
    "policy_chosen_logps": -10.0,
    "policy_rejected_logps": -16.0,
    "reference_chosen_logps": -12.0,
    "reference_rejected_logps": -15.0,
    "chosen_lengths": 4,
    "rejected_lengths": 8,
}
BETA = 0.5


def losses_of(settings: PairLoss, **changes: Any) -> PreferenceLosses:
    return preference_loss(**{k: torch.tensor([v]) for k, v in (PAIR | changes).items()}, settings=settings)


def loss_of(settings: PairLoss, **changes: Any) -> float:
    return losses_of(settings, **changes).losses.item()


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_sigmoid_by_hand() -> None:
    # beta · gap = 1.5; -logsigmoid(1.5) = log(1 + e^-1.5) = log 1.22313016
    assert loss_of(DPOSettings(beta=BETA)) == pytest.approx(math.log(1 + math.exp(-1.5)), abs=1e-6)
    assert loss_of(DPOSettings(beta=BETA)) == pytest.approx(0.2014133, abs=1e-6)


def test_label_smoothing_by_hand() -> None:
    # 0.9 · log(1 + e^-1.5) + 0.1 · log(1 + e^1.5) = 0.9 · 0.2014133 + 0.1 · 1.7014133
    expected = 0.9 * 0.2014133 + 0.1 * 1.7014133
    assert loss_of(DPOSettings(beta=BETA, label_smoothing=0.1)) == pytest.approx(expected, abs=1e-6)


def test_ipo_by_hand() -> None:
    # Per token: 2 / 4 - (-1 / 8) = 0.625; minus 1 / (2 · 0.5) = 1; squared
    assert loss_of(DPOSettings(beta=BETA, loss="ipo")) == pytest.approx((0.625 - 1) ** 2, abs=1e-6)
    assert loss_of(DPOSettings(beta=BETA, loss="ipo", length_normalised=True)) == pytest.approx(0.140625, abs=1e-6)


def test_hinge_by_hand() -> None:
    # 1 - 0.5 · 3 is below 0; with beta 0.2, 1 - 0.6 = 0.4
    assert loss_of(DPOSettings(beta=BETA, loss="hinge")) == 0
    assert loss_of(DPOSettings(beta=0.2, loss="hinge")) == pytest.approx(0.4, abs=1e-6)


def test_length_normalised_by_hand() -> None:
    # beta · (2 / 4 - (-1 / 8)) = 0.3125
    expected = math.log(1 + math.exp(-0.3125))
    assert loss_of(DPOSettings(beta=BETA, length_normalised=True)) == pytest.approx(expected, abs=1e-6)


def test_sft_by_hand() -> None:
    # 10 nats over 4 tokens are 2.5 a token, whatever the rejected response and the reference say
    assert loss_of(SFT()) == pytest.approx(2.5, abs=1e-6)
    changed = {"policy_rejected_logps": -1.0, "reference_chosen_logps": -3.0, "reference_rejected_logps": -2.0}
    assert loss_of(SFT(), **changed) == pytest.approx(2.5, abs=1e-6)


def test_sft_moves_the_chosen_response_alone() -> None:
    inputs = {k: torch.tensor([v]) for k, v in PAIR.items()}
    chosen, rejected = inputs["policy_chosen_logps"].requires_grad_(), inputs["policy_rejected_logps"].requires_grad_()
    preference_loss(**inputs, settings=SFT()).losses.sum().backward()
    assert chosen.grad is not None
    assert chosen.grad.item() == pytest.approx(-1 / 4)
    assert rejected.grad is None


def test_nll_term_by_hand() -> None:
    # 10 nats over 4 tokens are 2.5 a token
    plain = loss_of(DPOSettings(beta=BETA))
    assert loss_of(DPOSettings(beta=BETA, nll_weight=0.2)) == pytest.approx(plain + 0.2 * 2.5, abs=1e-6)
    assert losses_of(DPOSettings()).nll.item() == 2.5


@pytest.mark.parametrize("loss", ["sigmoid", "ipo", "hinge"])
def test_metrics_by_hand(loss: Any) -> None:
    losses = losses_of(DPOSettings(beta=BETA, loss=loss, length_normalised=True, nll_weight=1.0))
    metrics = {name: value.item() for name, value in reward_metrics(losses).items()}
    assert metrics == {
        "rewards/chosen": 1.0,
        "rewards/rejected": -0.5,
        "rewards/accuracies": 1.0,
        "rewards/margins": 1.5,
        "logps/chosen": -10.0,
        "logps/rejected": -16.0,
        "nll_loss": 2.5,
        "lengths/chosen": 4.0,
        "lengths/rejected": 8.0,
    }
    turned = losses_of(DPOSettings(beta=BETA, loss=loss), policy_chosen_logps=-14.0)
    assert reward_metrics(turned)["rewards/accuracies"].item() == 0.0


def test_at_the_reference() -> None:
    here = {"policy_chosen_logps": -12.0, "policy_rejected_logps": -15.0}
    assert loss_of(DPOSettings(), **here) == pytest.approx(math.log(2))
    assert loss_of(DPOSettings(loss="hinge"), **here) == 1
    assert loss_of(DPOSettings(beta=0.25, loss="ipo"), **here) == 4
    # A tie isn't a right answer.
    assert reward_metrics(losses_of(DPOSettings(), **here))["rewards/accuracies"].item() == 0


def test_gradient_of_dpo_by_hand() -> None:
    # Rafailov et al. 2023, section 4: ∇ = -beta · sigmoid(r_rejected - r_chosen) · ∇(log π(chosen) - log π(rejected))
    chosen, rejected = torch.tensor([-10.0], requires_grad=True), torch.tensor([-16.0], requires_grad=True)
    inputs = {k: torch.tensor([v]) for k, v in PAIR.items()}
    inputs |= {"policy_chosen_logps": chosen, "policy_rejected_logps": rejected}
    preference_loss(**inputs, settings=DPOSettings(beta=BETA)).losses.sum().backward()
    weight = BETA * sigmoid(-1.5)
    assert chosen.grad is not None
    assert rejected.grad is not None
    assert chosen.grad.item() == pytest.approx(-weight, abs=1e-6)
    assert rejected.grad.item() == pytest.approx(weight, abs=1e-6)


def test_only_the_losses_carry_a_gradient() -> None:
    inputs = {k: torch.tensor([v]) for k, v in PAIR.items()}
    inputs["policy_chosen_logps"].requires_grad_()
    losses = preference_loss(**inputs, settings=DPOSettings(nll_weight=1.0))
    assert losses.losses.requires_grad
    assert not any(value.requires_grad for value in reward_metrics(losses).values())


def test_half_precision_and_whole_lengths_come_out_in_float32() -> None:
    inputs = {k: torch.tensor([v, v]) for k, v in PAIR.items()}
    inputs = {k: v.to(torch.bfloat16) if v.is_floating_point() else v for k, v in inputs.items()}
    losses = preference_loss(**inputs, settings=DPOSettings(beta=BETA))
    fields = [losses.losses, *reward_metrics(losses).values()]
    assert all(field.dtype == torch.float32 and field.shape == (2,) for field in fields)
    assert losses.losses.tolist() == pytest.approx([0.2014133] * 2, abs=1e-6)


LOGPS = st.floats(-500, 0, width=32)
SETTINGS = st.builds(
    DPOSettings,
    beta=st.floats(0.01, 5),
    loss=st.sampled_from(["sigmoid", "ipo", "hinge"]),
    nll_weight=st.floats(0, 2),
    length_normalised=st.booleans(),
)
PAIRS = st.lists(
    st.tuples(LOGPS, LOGPS, LOGPS, LOGPS, st.integers(1, 200), st.integers(1, 200)), min_size=1, max_size=5
)


def columns(pairs: list[tuple[float, ...]]) -> list[Tensor]:
    return [torch.tensor(column) for column in zip(*pairs, strict=True)]


@given(PAIRS, SETTINGS)
def test_pairs_do_not_touch_each_other(pairs: list[tuple[float, ...]], settings: DPOSettings) -> None:
    together = preference_loss(*columns(pairs), settings=settings)
    for index, pair in enumerate(pairs):
        alone = preference_loss(*columns([pair]), settings=settings)
        assert torch.equal(together.losses[index], alone.losses[0])
        for name, value in reward_metrics(alone).items():
            assert torch.equal(reward_metrics(together)[name][index], value[0])


@given(PAIRS, SETTINGS)
def test_losses_are_finite_and_not_negative(pairs: list[tuple[float, ...]], settings: DPOSettings) -> None:
    losses = preference_loss(*columns(pairs), settings=settings).losses
    assert losses.isfinite().all()
    assert (losses >= 0).all()


@given(PAIRS, st.floats(0.01, 5), st.floats(0, 0.49))
def test_smoothing_is_the_chance_of_a_turned_pair(
    pairs: list[tuple[float, ...]], beta: float, smoothing: float
) -> None:
    settings = DPOSettings(beta=beta)
    turned = [(b, a, d, c, m, n) for a, b, c, d, n, m in pairs]
    expected = (1 - smoothing) * preference_loss(*columns(pairs), settings=settings).losses
    expected = expected + smoothing * preference_loss(*columns(turned), settings=settings).losses
    smoothed = preference_loss(*columns(pairs), settings=replace(settings, label_smoothing=smoothing)).losses
    torch.testing.assert_close(smoothed, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"beta": 0.0}, "model.dpo.beta must be above 0, not 0.0"),
        ({"beta": math.nan}, "model.dpo.beta must be above 0, not nan"),
        ({"loss": "kto"}, "model.dpo.loss must be one of sigmoid, ipo, hinge, not 'kto'"),
        ({"label_smoothing": 0.5}, "model.dpo.label_smoothing must be at least 0 and below 0.5, not 0.5"),
        ({"label_smoothing": -0.1}, "model.dpo.label_smoothing must be at least 0 and below 0.5, not -0.1"),
        (
            {"label_smoothing": 0.1, "loss": "ipo"},
            "model.dpo.label_smoothing goes with the sigmoid loss only, not with ipo",
        ),
        ({"nll_weight": -1.0}, "model.dpo.nll_weight must be at least 0, not -1.0"),
    ],
)
def test_settings_that_make_no_sense(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SaviError) as refusal:
        DPOSettings(**values)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("lose", "wrong"),
    [
        (lambda pairs: -pairs.chosen.mean(), "one loss for each pair"),
        (lambda pairs: -pairs.chosen[:, None], "one loss for each pair"),
        (lambda pairs: -pairs.chosen.detach(), "a loss with a gradient"),
    ],
)
def test_a_loss_of_ones_own_without_one_value_per_pair_or_a_gradient_is_refused(
    lose: Callable[[PairLogps], Tensor], wrong: str
) -> None:
    class Mine(Loss):
        def losses(self, pairs: PairLogps) -> Tensor:
            return lose(pairs)

    inputs = {k: torch.tensor([v], requires_grad=k.startswith("policy")) for k, v in PAIR.items()}
    with pytest.raises(SaviError, match=f"Mine.losses must return {wrong}"):
        preference_loss(**inputs, settings=Mine())
