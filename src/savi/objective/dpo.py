"""Preference losses over summed log-probabilities, one number per pair. Free functions, after Mitchell's DPO code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from savi.errors import SaviError, check_number
from savi.inference import ResponseScores
from savi.objective.losses import PairLogps, PairLoss

LOSSES = ("sigmoid", "ipo", "hinge")


@dataclass(frozen=True)
class DPOSettings:
    """DPO and its relatives, where `model.loss` names no other loss."""

    beta: float = 0.1
    """Strength of the tie to the reference: the larger, the closer the model stays to it. For ipo it is the paper's τ,
    for hinge it scales the margin. The default is that of DPO's authors."""

    loss: Literal["sigmoid", "ipo", "hinge"] = "sigmoid"
    """sigmoid is DPO's own (Rafailov et al. 2023, eq. 7); ipo (Azar et al. 2023, eq. 17); hinge (SLiC-HF, Zhao et al.
    2023, on DPO's rewards)."""

    label_smoothing: float = 0.0
    """Assumed probability that a pair is the wrong way round (conservative DPO, Mitchell 2023). With sigmoid only."""

    nll_weight: float = 0.0
    """Weight of the chosen response's negative log-likelihood per token, which is added to a preference loss (RPO, Pang
    et al. 2024, eq. 1; Llama 3). The default, 0, adds nothing, as in DPO."""

    length_normalised: bool = False
    """Take log-ratios per token, not per response (Tülu 3, Lambert et al. 2024, eq. 6; TRL's sigmoid_norm). ipo always
    takes them per token."""

    needs_rejected: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise SaviError(f"model.dpo.loss must be one of {', '.join(LOSSES)}, not {self.loss!r}")
        check_number("model.dpo.beta", self.beta, above=0)
        check_number("model.dpo.label_smoothing", self.label_smoothing, least=0, below=0.5)
        if self.label_smoothing and self.loss != "sigmoid":
            raise SaviError(f"model.dpo.label_smoothing goes with the sigmoid loss only, not with {self.loss}")
        check_number("model.dpo.nll_weight", self.nll_weight, least=0)

    def losses(self, pairs: PairLogps) -> Tensor:
        """The loss of each pair, float32 (pairs,).

        With h = log-ratio of chosen - log-ratio of rejected, a log-ratio being policy - reference:

            sigmoid  -(1 - ε)·logsigmoid(β·h) - ε·logsigmoid(-β·h)
            ipo      (h̄ - 1 / 2β)², h̄ from log-ratios per token, as IPO's authors have it and TRL follows
            hinge    max(0, 1 - β·h)
        """
        chosen, rejected = pairs.chosen - pairs.reference_chosen, pairs.rejected - pairs.reference_rejected
        if self.length_normalised or self.loss == "ipo":
            chosen, rejected = chosen / pairs.chosen_lengths, rejected / pairs.rejected_lengths
        return _losses_of_gap(chosen - rejected, self) + self.nll_weight * (-pairs.chosen / pairs.chosen_lengths)


@dataclass(frozen=True)
class PreferenceLosses:
    """The losses of pairs and their parts: float32 (pairs,) everywhere. Only `losses` carries a gradient.

    rewards: beta · (policy - reference), in nats, of the whole response whatever the loss normalizes.
    logps: the policy's, summed over the response. nll: the chosen response's, per token. lengths: tokens. All of the
    rejected responses are NaN where these weren't scored.
    """

    losses: Tensor
    chosen_rewards: Tensor
    rejected_rewards: Tensor
    chosen_logps: Tensor
    rejected_logps: Tensor
    nll: Tensor
    chosen_lengths: Tensor
    rejected_lengths: Tensor


def preference_loss(
    policy_chosen_logps: Tensor,
    policy_rejected_logps: Tensor,
    reference_chosen_logps: Tensor,
    reference_rejected_logps: Tensor,
    chosen_lengths: Tensor,
    rejected_lengths: Tensor,
    settings: PairLoss,
) -> PreferenceLosses:
    """The loss of every pair; the caller weighs them.

    logps: float (pairs,), summed over a response's tokens, the end token too. lengths: (pairs,), its tokens. Raises
    SaviError for a loss of another shape, and for one without the gradient that the policy's logps have.
    """
    pairs = PairLogps(
        chosen=policy_chosen_logps.float(),
        rejected=policy_rejected_logps.float(),
        reference_chosen=reference_chosen_logps.float(),
        reference_rejected=reference_rejected_logps.float(),
        chosen_lengths=chosen_lengths.float(),
        rejected_lengths=rejected_lengths.float(),
    )
    chosen, rejected = pairs.chosen.detach(), pairs.rejected.detach()
    losses = settings.losses(pairs)
    if losses.shape != chosen.shape or losses.requires_grad < pairs.chosen.requires_grad:
        wrong = "one loss for each pair" if losses.shape != chosen.shape else "a loss with a gradient"
        raise SaviError(f"model.loss: {type(settings).__name__}.losses must return {wrong}")
    return PreferenceLosses(
        losses=losses,
        chosen_rewards=settings.beta * (chosen - pairs.reference_chosen),
        rejected_rewards=settings.beta * (rejected - pairs.reference_rejected),
        chosen_logps=chosen,
        rejected_logps=rejected,
        nll=-chosen / pairs.chosen_lengths,
        chosen_lengths=pairs.chosen_lengths,
        rejected_lengths=pairs.rejected_lengths,
    )


def loss_of_scores(scores: ResponseScores, reference_logps: Tensor, settings: PairLoss) -> PreferenceLosses:
    """The loss of pairs whose responses were scored in turn: the chosen one, then the rejected one of each pair, or the
    chosen ones alone where the loss needs no others.

    reference_logps: float (pairs, 2), those of chosen and rejected under the frozen reference.
    """
    if settings.needs_rejected:
        chosen, rejected = scores.logps.view(-1, 2).unbind(1)
        chosen_lengths, rejected_lengths = scores.lengths.view(-1, 2).unbind(1)
    else:
        chosen, chosen_lengths = scores.logps, scores.lengths
        rejected = rejected_lengths = torch.full_like(chosen.detach(), torch.nan)
        reference_logps = torch.stack([reference_logps[:, 0], rejected], dim=1)
    return preference_loss(
        policy_chosen_logps=chosen,
        policy_rejected_logps=rejected,
        reference_chosen_logps=reference_logps[:, 0],
        reference_rejected_logps=reference_logps[:, 1],
        chosen_lengths=chosen_lengths,
        rejected_lengths=rejected_lengths,
        settings=settings,
    )


def _losses_of_gap(gap: Tensor, settings: DPOSettings) -> Tensor:
    """The preference term from the gap between the log-ratios of chosen and rejected, float32 (pairs,)."""
    beta, smoothing = settings.beta, settings.label_smoothing
    if settings.loss == "ipo":
        return (gap - 1 / (2 * beta)) ** 2
    if settings.loss == "hinge":
        return torch.relu(1 - beta * gap)
    return -(1 - smoothing) * F.logsigmoid(beta * gap) - smoothing * F.logsigmoid(-beta * gap)


def reward_metrics(losses: PreferenceLosses, rejected: bool = True) -> dict[str, Tensor]:
    """Float32 (pairs,) each, without gradient, under the names that users of other trainers know. rejected: whether the
    rejected responses were scored; else their metrics are absent."""
    chosen = {
        "rewards/chosen": losses.chosen_rewards,
        "logps/chosen": losses.chosen_logps,
        "nll_loss": losses.nll,
        "lengths/chosen": losses.chosen_lengths,
    }
    if not rejected:
        return chosen
    return chosen | {
        "rewards/rejected": losses.rejected_rewards,
        "rewards/accuracies": (losses.chosen_rewards > losses.rejected_rewards).float(),
        "rewards/margins": losses.chosen_rewards - losses.rejected_rewards,
        "logps/rejected": losses.rejected_logps,
        "lengths/rejected": losses.rejected_lengths,
    }
