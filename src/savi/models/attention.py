"""Attention over a clip with its branches: causal in the prefix, a tree in the branches behind it.

One dense mask over a whole row would spend most of its work on the prefix's upper half, which no token sees, and would
cost the decoder its grouped-query path. So the prefix goes through the causal kernel, which needs no mask, and only the
branches, a few hundred tokens, bring one.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.weak import WeakTensorKeyDictionary
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from savi.models.split_attention import clip_keys, split_attention

TREE_ATTENTION = "savi_tree"
"""The name under which a decoder's configuration asks for it."""

_LAID: MutableMapping[Tensor, dict[tuple[int, torch.dtype], Tensor]] = WeakTensorKeyDictionary()
"""Masks as the kernel takes them, by the bool masks that they were made of: all layers of a pass share them."""

_STRETCHES: MutableMapping[Tensor, list[tuple[Tensor | None, Tensor]]] = WeakTensorKeyDictionary()
"""Masks in stretches, by the whole ones: all layers of a pass share them."""

BRANCHES_ALONE = "savi_branches_alone"
"""Attribute of an attention module whose outputs nobody takes but those of branches."""

ALIGNED = 16
"""Columns of a mask by which its rows are apart: CUDA's kernels would copy any other mask, in every layer."""

STRETCH = 256
"""Branch tokens that are attended together. Those of a long tree see little of it: each stretch takes what it sees."""

STRETCH_ON_CPU = 64
"""The same in a longer tree on a CPU. Shorter stretches see less; on a GPU they would cost more kernels than that."""


def tree_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers' decoders call it: query (batch, heads, n, d) to output (batch, n, heads, d).

    attention_mask: bool (batch, 1, branches, keys), what the last `branches` queries see. The queries before them are
    the row's first tokens, each of which sees itself and those before it. Without a mask it is transformers' own. Where
    the keys follow those of clips (`split_attention`), the mask is theirs alone and is added to scores.
    """
    clips = clip_keys(key)
    if clips is not None:
        return split_attention(query, key, value, attention_mask, clips, scaling), None
    length, keys = query.shape[2], key.shape[2]
    if attention_mask is None and 1 < length < keys:
        # Layers that take the keys and values of others read a row's last tokens alone: to the kernel, its first ones.
        attention_mask = query.new_ones(1, 1, length, keys, dtype=torch.bool).tril(keys - length)
    if attention_mask is None:
        return sdpa_attention_forward(module, query, key, value, None, dropout=dropout, scaling=scaling, **kwargs)
    before = length - attention_mask.shape[2]
    parts = []
    stretches = _stretches(attention_mask)
    # In one split: the gradient of each slice by itself would be as large as all queries.
    of_prefix, *of_branches = query.split([before, *(mask.shape[2] for _, mask in stretches)], dim=2)
    if before and hasattr(module, BRANCHES_ALONE):
        parts.append(value.new_zeros(len(query), before, query.shape[1], value.shape[3]))
    elif before:
        prefix = (of_prefix, key[:, :, :before], value[:, :, :before])
        parts.append(sdpa_attention_forward(module, *prefix, None, dropout=dropout, scaling=scaling, is_causal=True)[0])
    for branches, (columns, mask) in zip(of_branches, stretches, strict=True):
        seen = (key, value, mask)
        if columns is not None:
            seen = (key.index_select(2, columns), value.index_select(2, columns), mask)
        # Under a mask no CUDA kernel groups queries. Either keys and values are copied for each of a group, which is
        # what transformers does, or the mask is: whichever is less.
        few = branches.shape[2] < 2 * key.shape[1] * key.shape[3]
        attend = _folded if few else _repeated
        parts.append(attend(module, branches, *seen, dropout, scaling))
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1), None


def _stretches(mask: Tensor) -> Sequence[tuple[Tensor | None, Tensor]]:
    """Of each stretch, in order: the columns that any of its queries sees, and the mask's part of these.

    columns: int64 (seen,), None for all.
    """
    if mask.shape[2] <= STRETCH:
        return [(None, mask)] if mask.shape[2] else []
    if mask not in _STRETCHES:
        on_cpu = mask.device.type == "cpu"
        parts = mask.split(_lengths(mask, min(STRETCH, STRETCH_ON_CPU)) if on_cpu else STRETCH, dim=2)
        # On a CPU, the largest byte is found 16 times as fast as `any`.
        columns = [part.view(torch.uint8).amax((0, 1, 2)).nonzero()[:, 0] for part in parts]
        _STRETCHES[mask] = [(seen, part.index_select(3, seen)) for part, seen in zip(parts, columns, strict=True)]
    return _STRETCHES[mask]


def _lengths(mask: Tensor, size: int) -> list[int]:
    """The lengths of stretches of about this size, which end with a branch if one ends within half as much again.

    So a stretch sees no more branches than it has to. A branch ends where no token sees the one before it.
    """
    length = mask.shape[2]
    joined = mask[..., -length:].diagonal(-1, 2, 3).flatten(0, 1).any(0)
    borders = [*((~joined).nonzero()[:, 0] + 1).tolist(), length]
    ends = [0]
    while ends[-1] < length:
        start = ends[-1]
        within = [border for border in borders if start < border <= start + size * 3 // 2]
        early = [border for border in within if border <= start + size]
        ends.append(early[-1] if early else within[0] if within else start + size)
    return [end - start for start, end in pairwise(ends)]


def _repeated(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, dropout: float, scaling: float | None
) -> Tensor:
    output: Tensor = sdpa_attention_forward(module, query, key, value, mask, dropout=dropout, scaling=scaling)[0]
    return output


def _folded(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor, dropout: float, scaling: float | None
) -> Tensor:
    """The queries that share a key-value head become rows of one matrix, so that no key is copied for them."""
    batch, heads, length, width = query.shape
    groups = heads // key.shape[1]
    folded = query.reshape(batch, key.shape[1], groups * length, width)
    output = scaled_dot_product_attention(folded, key, value, _laid(mask, groups, query.dtype), dropout, scale=scaling)
    return output.reshape(batch, heads, length, -1).transpose(1, 2)


def _laid(mask: Tensor, groups: int, dtype: torch.dtype) -> Tensor:
    """A bool mask (batch, 1, n, keys) as what is added to scores, (batch, 1, groups x n, keys)."""
    made = _LAID.setdefault(mask, {})
    if (groups, dtype) not in made:
        batch, _, length, keys = mask.shape
        room = (keys + ALIGNED - 1) // ALIGNED * ALIGNED
        laid = torch.full((batch, groups, length, room), -torch.inf, dtype=dtype, device=mask.device)
        laid[..., :keys].masked_fill_(mask, 0)
        made[groups, dtype] = laid.view(batch, 1, groups * length, room)[..., :keys]
    return made[groups, dtype]


AttentionInterface.register(TREE_ATTENTION, tree_attention)
AttentionMaskInterface.register(TREE_ATTENTION, sdpa_mask)
