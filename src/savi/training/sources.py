"""What the datamodule asks of the callbacks of its Trainer's module."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from savi.critique.builder import BuiltRound
from savi.evaluation.benchmarks.items import Item
from savi.types import Clip, Frames


class PairSource(Protocol):
    """The maker of a round's pairs: the model's self-critique callback."""

    def build_round(self, clips: Sequence[Clip]) -> BuiltRound:
        """The pairs of the current round, built now or read back."""
        ...

    def is_cached(self, clip: Clip) -> bool:
        """Whether the model needs this clip's frames no more."""
        ...

    def prepare(self, frames: Frames) -> Frames:
        """The frames with what the model's processor makes of them. Called in other threads, ahead of their use."""
        ...


class AnswerSource(Protocol):
    """The keeper of the answers that were given before an evaluation was killed."""

    def is_answered(self, items: Sequence[Item]) -> bool:
        """Whether a batch of items needs the model no more, nor frames."""
        ...
