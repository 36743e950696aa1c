"""Losses of preference pairs: what an optimizer step minimizes. `savi.objective.dpo` has the preference losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Protocol

from torch import Tensor


@dataclass(frozen=True)
class PairLogps:
    """Log-probabilities of pairs in nats, float32 (pairs,) each, summed over a response's tokens and its end token.

    chosen, rejected: the policy's, with a gradient. lengths: tokens of the responses, with the end token. All of the
    rejected responses are NaN for a loss that doesn't need them.
    """

    chosen: Tensor
    rejected: Tensor
    reference_chosen: Tensor
    reference_rejected: Tensor
    chosen_lengths: Tensor
    rejected_lengths: Tensor


class PairLoss(Protocol):
    """What a step needs of a loss. beta: the scale of the rewards that are logged. needs_rejected: whether the rejected
    responses go through the model."""

    @property
    def beta(self) -> float: ...

    @property
    def needs_rejected(self) -> bool: ...

    def losses(self, pairs: PairLogps) -> Tensor: ...


class Loss(ABC):
    """A loss that an experiment file names with `model.loss`. Its arguments are settings."""

    beta = 1.0
    """Scale of the rewards that are logged, which are beta · (policy - reference) in nats."""

    needs_rejected: ClassVar[bool] = True
    """Whether the rejected responses go through the model. If not, a step is faster, and all metrics of rejected
    responses, rewards' margins and accuracies among them, are absent."""

    @abstractmethod
    def losses(self, pairs: PairLogps) -> Tensor:
        """The loss of each pair, float32 (pairs,). A step minimizes their mean."""


class SFT(Loss):
    """Supervised fine-tuning: the negative log-likelihood per token of the chosen responses, without a preference and
    without a reference (VideoSAVi's baseline "SFT on the revised answers")."""

    needs_rejected = False

    def losses(self, pairs: PairLogps) -> Tensor:
        return -pairs.chosen / pairs.chosen_lengths


LOSSES: dict[str, type[Loss]] = {"sft": SFT}
"""savi's own losses besides those of `model.dpo`, by their short names."""
