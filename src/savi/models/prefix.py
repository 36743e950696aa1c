"""From a clip's frames to its prefix: one pass of the frozen vision tower, laid out as the model itself does it."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedModel, ProcessorMixin

from savi.models.family import ClipPrefix, DecoderArguments, Family, decoder_inputs, token_inputs
from savi.models.windows import causal_spans, spans_of, windows
from savi.types import Frames, SaviError


class NotSharedError(SaviError):
    """A model whose clips can't be shared between prompts. The message is the reason, as a clause."""


CACHED = {"inputs_embeds", "position_ids", "attention_mask", "per_layer_inputs"}
IDLE = {"cache_position"}
"""Inputs that carry no information for a row that is read alone and from its start."""


def encode_prefix(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    family: Family,
    chat: str,
    frames: Frames,
    inputs: dict[str, Tensor] | None = None,
) -> ClipPrefix:
    """Encode a clip. chat: a chat about it without a prompt, see :meth:`savi.models.chat.Chat.text`. inputs: what the
    processor makes of chat and frames, if it is there already.

    Raises NotSharedError for a model whose decoder takes inputs that a prefix does not hold, and for a tokenizer that
    does not give back the text behind the clip: that text could not be told from what the processor wrote.
    """
    inputs = inputs or family.video_inputs(processor, chat, frames)
    length, tail = layout(processor, family, chat, inputs["input_ids"][0])
    decoder = family.language_model(model)
    given = decoder_inputs(model, decoder, {k: v.to(model.device) for k, v in inputs.items()})
    deep = family.deep_features(given, length)
    _check_cached(given, family)
    positions = _positions(given)
    return ClipPrefix(
        embeds=given["inputs_embeds"][0, :length],
        positions=positions[:, :length],
        next_position=int(positions[0, length]),
        deep=deep,
        ids=_token_ids(given, decoder, inputs["input_ids"].to(model.device), length),
        spans=_spans(given, decoder, length),
        tail=tail,
    )


def layout(processor: ProcessorMixin, family: Family, chat: str, ids: Tensor) -> tuple[int, str]:
    """Of a row that the processor made of a chat: how many tokens the prefix has, and ClipPrefix.tail.

    ids: int64 (row,). Raises NotSharedError for a tokenizer that does not give back the text behind the clip.
    """
    visual = family.visual_token(processor)
    length = int((ids == processor.tokenizer.convert_tokens_to_ids(visual)).nonzero()[-1]) + 1
    behind = processor.tokenizer.decode(ids[length - 1 :], clean_up_tokenization_spaces=False).removeprefix(visual)
    written = chat.partition(family.video_token(processor))[2]
    if not behind.endswith(written):
        raise NotSharedError(f"the tokenizer of type {family.model_type!r} turns {written!r} into {behind!r}")
    return length, behind.removesuffix(written)


def _check_cached(given: DecoderArguments, family: Family) -> None:
    """Refuse inputs of the decoder that a prefix does not hold: packed rows would silently lack them."""
    lost = {name for name, value in given.items() if isinstance(value, Tensor | list | tuple | dict)} - CACHED - IDLE
    if lost:
        raise NotSharedError(f"the decoder of type {family.model_type!r} takes {', '.join(sorted(lost))} too")


def _token_ids(given: DecoderArguments, decoder: PreTrainedModel, row: Tensor, length: int) -> Tensor | None:
    """ClipPrefix.ids. row: int64 (1, row).

    Raises NotSharedError for a model whose inputs of each token come of other ids.
    """
    if given.get("per_layer_inputs") is None:
        return None
    ids = row.where(row != row[0, length - 1], decoder.config.pad_token_id)
    if not torch.equal(token_inputs(decoder, lambda: ids)["per_layer_inputs"], given["per_layer_inputs"]):
        raise NotSharedError(f"the decoder of type {decoder.config.model_type!r} takes inputs of each layer of its own")
    return ids[0, :length]


def _spans(given: DecoderArguments, decoder: PreTrainedModel, length: int) -> Tensor | None:
    """ClipPrefix.spans, read off the masks that a model hands its decoder. None where it hands padding or nothing.

    Raises NotSharedError for masks of another kind.
    """
    mask = given.get("attention_mask")
    if mask is None or (isinstance(mask, Tensor) and mask.ndim == 2):
        return None
    by_kind = []
    for kind, window in windows(decoder.config).items():
        own = mask.get(kind) if isinstance(mask, dict) else mask
        if own is None:
            spans: Tensor | None = causal_spans(length, window, given["inputs_embeds"].device)
        else:
            spans = spans_of((own if own.dtype == torch.bool else own == 0)[0, 0, :length])
        if spans is None:
            raise NotSharedError(f"the decoder of type {decoder.config.model_type!r} takes a mask of its own")
        by_kind.append(spans)
    return torch.stack(by_kind)


def _positions(given: DecoderArguments) -> Tensor:
    """int64 (axes, row). A model that hands its decoder none lets it count."""
    positions: Tensor | None = given.get("position_ids")
    if positions is None:
        row = given["inputs_embeds"]
        return torch.arange(row.shape[1], device=row.device)[None]
    return positions[:, 0] if positions.ndim == 3 else positions
