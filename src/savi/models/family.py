"""What differs between the families of video-LLMs, and nothing else. `savi.models.families` has the records."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, ProcessorMixin
from transformers.video_utils import VideoMetadata

from savi.types import Frames


@dataclass(frozen=True)
class ClipPrefix:
    """Everything before a clip's branches: the start of the chat, then all up to the clip's last visual token.

    It depends on frozen weights only, so it can be cached as long as the clip is the same.
    """

    embeds: Tensor
    """(prefix, hidden size), in the model's dtype."""

    positions: Tensor
    """int64 (axes, prefix); 3 axes for M-RoPE, 1 otherwise."""

    next_position: int
    """Position, on every axis, of the first token behind the prefix."""

    deep: Tensor | None = None
    """Features that are added to the outputs of the first decoder layers (DeepStack): (layers, prefix, hidden size).
    None for a family without."""

    ids: Tensor | None = None
    """int64 (prefix,), token ids, the padding token's where a feature is. None for a decoder that takes embeddings
    alone."""

    spans: Tensor | None = None
    """int64 (kinds of attention layers, 2, prefix), the first and the last token that each token sees, by kind in
    alphabetical order. None where each sees itself and those before it, within the window of its layer."""

    tail: str = ""
    """Text that the processor writes behind the last visual token. It is read with each prompt, as a tokenizer may join
    the two."""

    def __len__(self) -> int:
        return self.embeds.shape[0]

    def to(self, device: torch.device) -> ClipPrefix:
        """The same prefix on a device."""
        moved: dict[str, Any] = {name: tensor.to(device) for name, tensor in self.tensors.items()}
        return replace(self, **moved)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Its tensors by the names of their fields."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Tensor)}

    @property
    def nbytes(self) -> int:
        return sum(tensor.nbytes for tensor in self.tensors.values())


DecoderArguments = dict[str, Any]
"""What a decoder is called with, by name: tensors, lists of tensors, flags. transformers gives them no type."""

TOKENS_AT_ONCE = 16384
"""Of prefixes, in a pass without gradients: enough to keep a large GPU busy; more would only take memory."""


TOKENS_AT_ONCE_ON_CPU = 4096
"""More tokens make a pass slower there, because what a layer computes leaves the processor's cache."""


def clips_at_once(prefixes: Sequence[ClipPrefix], behind: int = 0) -> int:
    """How many of these clips go through the decoder in one pass without gradients. behind: most tokens that are read
    behind one of them."""
    most = min(TOKENS_AT_ONCE, TOKENS_AT_ONCE_ON_CPU) if prefixes[0].embeds.device.type == "cpu" else TOKENS_AT_ONCE
    return max(1, most // (max(len(prefix) for prefix in prefixes) + behind))


ATTENTION_AND_MLP = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
"""The names that nearly all decoders give their linear layers."""


@dataclass(frozen=True)
class Family:
    """How the models of one family encode a clip, and which of their modules are tuned."""

    model_type: str
    """`model_type` in its checkpoints' config.json."""

    unquantized: tuple[str, ...]
    """Modules, by the start of their names, that stay in full precision under NF4: all but the decoder."""

    decoder: str = "model.language_model"
    """Name of the module that is the language model."""

    visual: str | None = "video_token"
    """Attribute of the processor that holds the token of one visual feature. None where it is unknown."""

    linear: tuple[str, ...] = ATTENTION_AND_MLP
    """Last names of the decoder's linear layers, which take LoRA."""

    experts: tuple[str, ...] = ()
    """Names, with their module's, of the parameters that hold all routed experts of a layer, (experts, out, in). They
    take LoRA where model.lora.experts says so. () for a decoder without such parameters."""

    required: frozenset[str] = frozenset()
    """Outputs of the processor without which the model would compute other hidden states and not fail."""

    least_frames: int = 1
    """Fewest frames that the processor takes."""

    own_size: bool = False
    """Whether the processor scales every frame, a small one up, to a size or a number of patches of its own."""

    least_transformers: str = ""
    """Lowest version of transformers that encodes the clips of this family as they should be."""

    @property
    def lora_targets(self) -> str:
        """Regular expression over module names: the linear layers of the decoder, never the vision tower's."""
        return rf".*{re.escape(self.decoder)}\..*\.({'|'.join(map(re.escape, self.linear))})"

    def language_model(self, model: PreTrainedModel) -> PreTrainedModel:
        """The decoder: takes inputs_embeds, a 4-D attention_mask, position_ids and a cache."""
        decoder: PreTrainedModel = model.get_submodule(self.decoder)
        return decoder

    def video_token(self, processor: ProcessorMixin) -> str:
        """The one placeholder that the chat template writes for a video."""
        token: str = processor.video_token
        return token

    def visual_token(self, processor: ProcessorMixin) -> str:
        """The token that the processor writes once for each visual feature, or else the placeholder."""
        token: str = getattr(processor, self.visual or "video_token")
        return token

    def video_inputs(self, processor: ProcessorMixin, text: str, frames: Frames) -> dict[str, Tensor]:
        """One row of processor outputs (input_ids, pixel values, ...) for a text with one video placeholder.

        The last frame of a clip that is shorter than the processor takes is repeated.
        """
        shown = [*range(len(frames.indices)), *[-1] * (self.least_frames - len(frames.indices))]
        total = max(frames.indices[-1] + 1, round(frames.duration * frames.fps))
        if frames.span is not None:
            # Of the part alone: Qwen2.5-VL takes the time between frames from their number in the total.
            start, end = frames.span
            total = round(min(end, frames.duration) * frames.fps) - round(start * frames.fps) + 1
        metadata = VideoMetadata(
            total_num_frames=total,
            fps=frames.fps,
            duration=frames.duration,
            frames_indices=[frames.indices[frame] for frame in shown],
        )
        inputs = processor(
            text=[text],
            videos=[[frames.pixels[shown].permute(0, 3, 1, 2)]],
            video_metadata=[metadata],
            do_sample_frames=False,
            return_tensors="pt",
        )
        missing = self.required - set(inputs)
        if missing:
            raise RuntimeError(f"the processor returned no {sorted(missing)}: this transformers is not supported")
        return {name: value for name, value in inputs.items() if isinstance(value, Tensor)}

    def deep_features(self, given: DecoderArguments, length: int) -> Tensor | None:
        """ClipPrefix.deep of a row, taken out of what the model hands its decoder. length: of the prefix."""
        return None

    def decoder_extras(self, prefixes: Sequence[ClipPrefix], width: int) -> DecoderArguments:
        """What the decoder takes besides embeddings, mask and positions, for rows that start with these prefixes."""
        return {}


def decoder_inputs(model: PreTrainedModel, decoder: PreTrainedModel, inputs: dict[str, Tensor]) -> DecoderArguments:
    """What a model hands its decoder for a row of processor outputs. The decoder itself doesn't run.

    Embeddings with the visual features in their places, positions and all else come out of the model's own forward,
    so that nothing of it is written a second time here.
    """
    given: DecoderArguments = {}

    def intercept(_: nn.Module, __: tuple[object, ...], arguments: DecoderArguments) -> None:
        given.update(arguments)
        raise _InterceptedError

    handle = decoder.register_forward_pre_hook(intercept, with_kwargs=True)
    try:
        model(**inputs, use_cache=False)
    except _InterceptedError:
        pass
    finally:
        handle.remove()
    return given


def token_inputs(decoder: PreTrainedModel, ids: Callable[[], Tensor]) -> DecoderArguments:
    """What a decoder takes of each token besides its embedding: Gemma's per-layer embeddings. ids: int64 (rows, n)."""
    if not getattr(decoder.config, "hidden_size_per_layer_input", None):
        return {}
    gemma: Any = decoder
    return {"per_layer_inputs": gemma.get_per_layer_inputs(ids(), None)}


class _InterceptedError(Exception):
    """Ends a forward pass where its decoder would start."""
