"""What each kind of attention layer sees of a packed batch: all of a token's own path, or a window of it.

A sliding window is a distance along the path: the tokens of a branch count on from the end of their clip, wherever they
are in the row. Within a prefix, some models let visual tokens see each other in both directions (Gemma). Which tokens
do is read off the model's own mask when the clip is encoded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import PreTrainedConfig, PreTrainedModel

from savi.models.family import ClipPrefix
from savi.models.states import Levels

FULL, SLIDING = "full_attention", "sliding_attention"
RECURRENT = frozenset({"linear_attention", "conv"})
"""Kinds of layers, as `layer_types` of a configuration names them."""


def windows(text: PreTrainedConfig) -> dict[str, int | None]:
    """The kinds of a decoder's attention layers in alphabetical order, with the window of each in tokens.

    None: no window. text: the decoder's configuration. Where it names no kinds, all layers are of one.
    """
    kinds = getattr(text, "layer_types", None)
    window = getattr(text, "sliding_window", None)
    if not kinds:
        return {FULL: window}
    return {kind: window if kind == SLIDING else None for kind in sorted({FULL, SLIDING} & set(kinds))}


def recurrent_kinds(decoder: PreTrainedModel) -> frozenset[str]:
    """The kinds of a decoder's recurrent layers; empty where it has none."""
    return RECURRENT & set(getattr(decoder.config, "layer_types", None) or ())


def masks(
    decoder: PreTrainedModel,
    branches: Tensor,
    places: Tensor | None,
    levels: Levels | None,
    prefixes: Sequence[ClipPrefix] = (),
) -> Tensor | Mapping[str, Tensor | Levels]:
    """A decoder's attention_mask: one for all of its layers, or one for each kind of them.

    branches: bool (rows, 1, n, keys), which of the keys, the last n of which are its own, each branch token sees where
    there is no window. places: int64 (rows, keys), the place of each key in a row of its own; None where no
    layer has a window. levels: of a recurrent decoder. prefixes: what the rows begin with; empty where a cache has it.
    """
    keys = branches.shape[-1]
    attention: dict[str, Tensor] = {}
    for index, (kind, window) in enumerate(windows(decoder.config).items()):
        mask = branches
        if window is not None and places is not None:
            mask = mask & (places[:, None, None] > places[:, None, keys - branches.shape[2] :, None] - window)
        if prefixes:
            causal = causal_spans(max(map(len, prefixes)), window, mask.device)
            spans = _spans(prefixes, index, causal)
            if window is not None or not torch.equal(spans, causal.expand_as(spans)):
                mask = torch.cat([pad(prefix_mask(spans)[:, None], (0, keys - spans.shape[-1])), mask], dim=2)
        attention[kind] = mask
    if levels is not None:
        return {**attention, **dict.fromkeys(recurrent_kinds(decoder), levels)}
    return attention if set(attention) != {FULL} else attention[FULL]


def prefix_mask(spans: Tensor) -> Tensor:
    """bool (rows, n, n), what each token of a prefix sees. spans: int64 (rows, 2, n), from which token to which."""
    index = torch.arange(spans.shape[-1], device=spans.device)
    return (index >= spans[:, 0, :, None]) & (index <= spans[:, 1, :, None])


def causal_spans(length: int, window: int | None, device: torch.device) -> Tensor:
    """int64 (2, length), of tokens that see themselves and those before them, within a window if there is one."""
    index = torch.arange(length, device=device)
    return torch.stack([(index - (window or length) + 1).clamp(min=0), index])


def spans_of(mask: Tensor) -> Tensor | None:
    """The runs of tokens that those of a prefix see, int64 (2, n), by the model's own mask.

    mask: bool (n, row), the row's first n tokens being the prefix. None where a token sees none, or several runs, or a
    token behind the prefix.
    """
    length, row = mask.shape
    spans = torch.stack([mask.int().argmax(1), row - 1 - mask.flip(1).int().argmax(1)])
    alike = pad(prefix_mask(spans[None])[0], (0, row - length))
    return spans if torch.equal(alike, mask) else None


def _spans(prefixes: Sequence[ClipPrefix], kind: int, causal: Tensor) -> Tensor:
    """ClipPrefix.spans of one kind of layers, int64 (prefixes, 2, width), padded on the right with causal ones."""
    spans = causal.repeat(len(prefixes), 1, 1)
    for row, prefix in zip(spans, prefixes, strict=True):
        if prefix.spans is not None:
            row[:, : len(prefix)] = prefix.spans[kind]
    return spans
