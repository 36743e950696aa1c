"""What differs between the families of video-LLMs, and nothing else. One small file a family implements it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor, nn

from savi.types import Frames


@dataclass(frozen=True)
class ClipPrefix:
    """Everything before a clip's branches: the start of the chat, then the clip's visual tokens.

    It is a function of frozen weights only, so it may be kept as long as the clip is the same.

    embeds: (prefix, width) in the model's dtype. positions: int64 (axes, prefix); 3 axes for M-RoPE, 1 otherwise.
    next_position: position, on every axis, of the first token behind the prefix.
    """

    embeds: Tensor
    positions: Tensor
    next_position: int

    def __len__(self) -> int:
        return self.embeds.shape[0]

    @property
    def nbytes(self) -> int:
        return self.embeds.nbytes + self.positions.nbytes


class Family(Protocol):
    """How one family of Hugging Face classes is watched and tuned."""

    model_type: str
    lora_targets: str
    """Regular expression over module names: the linear layers of the language model, never the vision tower's."""

    unquantised: tuple[str, ...]
    """Modules, by the start of their names, that stay in full precision under NF4: all but the language model."""

    def video_token(self, processor: Any) -> str:
        """The one placeholder that the chat template writes for a video."""
        ...

    def video_inputs(self, processor: Any, text: str, frames: Frames) -> dict[str, Tensor]:
        """One row of processor outputs (input_ids, pixel values, ...) for a text with one video placeholder."""
        ...

    def prefix(self, model: nn.Module, inputs: dict[str, Tensor]) -> ClipPrefix:
        """Run the vision tower over the inputs of a prefix text, and lay out its embeddings and positions."""
        ...

    def language_model(self, model: nn.Module) -> nn.Module:
        """The decoder: takes inputs_embeds, a 4-D attention_mask, position_ids, past_key_values."""
        ...
