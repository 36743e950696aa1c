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
    places: Tensor,
    levels: Levels | None,
    prefixes: Sequence[ClipPrefix] = (),
) -> Tensor | Mapping[str, Tensor | Levels]:
    """A decoder's attention_mask: one for all of its layers, or one for each kind of them.

    branches: bool (rows, 1, n, keys), which of the keys, the last n of which are its own, each branch token sees where
    there is no window. places: int64 (rows, keys), the place of each key in a row of its own. levels: of a recurrent
    decoder. prefixes: what the rows begin with; empty where a cache holds it.
    """
    keys = branches.shape[-1]
    attention: dict[str, Tensor] = {}
    for index, (kind, window) in enumerate(windows(decoder.config).items()):
        mask = branches
        if window is not None:
            mask = mask & (places[:, None, None] > places[:, None, keys - branches.shape[2] :, None] - window)
        if prefixes and (window is not None or any(prefix.ahead is not None for prefix in prefixes)):
            own = prefix_mask(_ahead(prefixes, index, branches.device), window)[:, None]
            mask = torch.cat([pad(own, (0, keys - own.shape[-1])), mask], dim=2)
        attention[kind] = mask
    if levels is not None:
        return {**attention, **dict.fromkeys(recurrent_kinds(decoder), levels)}
    return attention if set(attention) != {FULL} else attention[FULL]


def prefix_mask(ahead: Tensor, window: int | None) -> Tensor:
    """bool (rows, n, n), what each token of a prefix sees. ahead: int64 (rows, n), of how many tokens behind itself."""
    index = torch.arange(ahead.shape[1], device=ahead.device)
    seen = index <= (index + ahead)[..., None]
    return seen if window is None else seen & (index > index[:, None] - window)


def tokens_ahead(mask: Tensor, window: int | None) -> Tensor | None:
    """How many tokens behind itself each token of a prefix sees, int64 (n,), by the model's own mask.

    mask: bool (n, row), the row's first n tokens being the prefix. None where the mask is another than
    :func:`prefix_mask` makes of the numbers, so that they don't tell it.
    """
    index = torch.arange(len(mask), device=mask.device)
    last = mask.shape[1] - 1 - mask.flip(1).int().argmax(1)
    ahead = last - index
    alike = pad(prefix_mask(ahead[None], window)[0], (0, mask.shape[1] - len(mask)))
    return ahead if torch.equal(alike, mask) else None


def _ahead(prefixes: Sequence[ClipPrefix], kind: int, device: torch.device) -> Tensor:
    """ClipPrefix.ahead of one kind of layers, int64 (prefixes, width), padded on the right."""
    width = max(len(prefix) for prefix in prefixes)
    ahead = torch.zeros(len(prefixes), width, dtype=torch.int64, device=device)
    for row, prefix in zip(ahead, prefixes, strict=True):
        if prefix.ahead is not None:
            row[: len(prefix)] = prefix.ahead[kind]
    return ahead
