"""Attention of branches in two parts: over their clip's keys together, and over their own keys alone.

In one row behind their clip, branches see little of each other, but a kernel under a mask reads all keys of the row.
Here all branches of a clip are the queries of one product with the clip's keys, and each has its own keys in a row of
its own. The two parts are joined by the logarithms of their softmax's denominators, so nothing is approximated.

It is for CPUs, where arithmetic takes the time of a step. It launches more kernels than one under a mask would.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

_attend = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
"""torch's kernel for CPUs. Unlike the public function it also gives the logarithms of the denominators."""


@dataclass(frozen=True)
class Cells:
    """The branches of a batch by clip: cells (clips, slots), as many slots as the clip with the most branches has.

    rows: int64 (clips * slots,), the branch in each cell, any branch in a cell without one; None where every cell has
    one, in order. places: int64 (branches,), the cell of each branch, or None as well. mask: (clips, 1, 1, width), what
    is added to scores of the clips' keys; None where no clip is padded.
    """

    clips: int
    slots: int
    rows: Tensor | None
    places: Tensor | None
    mask: Tensor | None

    @classmethod
    def of(cls, owners: Sequence[int], lengths: Sequence[int], width: int) -> Cells:
        """owners: the clip of each branch, in ascending order. lengths: of the clips, which are padded to a width."""
        clips = len(lengths)
        mask = None
        if min(lengths) < width:
            padded = torch.arange(width) >= torch.tensor(lengths)[:, None]
            mask = torch.zeros(clips, width).masked_fill_(padded, -torch.inf)[:, None, None]
        counts = [owners.count(clip) for clip in range(clips)]
        slots = max(counts)
        if min(counts) == slots:
            return cls(clips, slots, None, None, mask)
        places = [clip * slots + slot for clip, count in enumerate(counts) for slot in range(count)]
        rows = [0] * (clips * slots)
        for row, place in enumerate(places):
            rows[place] = row
        return cls(clips, slots, torch.tensor(rows), torch.tensor(places), mask)

    def fold(self, query: Tensor) -> Tensor:
        """(branches, heads, groups, d) to (clips, heads, slots * groups, d)."""
        cells = query if self.rows is None else query.index_select(0, self.rows)
        by_clip = cells.unflatten(0, (self.clips, self.slots)).transpose(1, 2)
        return by_clip.flatten(2, 3)

    def unfold(self, output: Tensor) -> Tensor:
        """(clips, heads, slots * groups, ...) to (branches, heads, groups, ...)."""
        by_cell = output.unflatten(2, (self.slots, -1)).transpose(1, 2).flatten(0, 1)
        return by_cell if self.places is None else by_cell.index_select(0, self.places)


@dataclass(frozen=True)
class ClipKeys:
    """One layer's keys and values of the clips, (clips, heads, width, d). cells: which branches are whose."""

    keys: Tensor
    values: Tensor
    cells: Cells


_CLIP_KEYS: MutableMapping[Tensor, ClipKeys] = WeakTensorKeyDictionary()
"""By the keys of the branches, which a decoder hands from its cache to its attention."""


def put_behind(keys: Tensor, clips: ClipKeys) -> None:
    """Remember that these keys, (branches, heads, n, d), follow those of clips."""
    _CLIP_KEYS[keys] = clips


def clip_keys(keys: Tensor) -> ClipKeys | None:
    """What a batch's keys follow; None for keys that begin with their clip's."""
    return _CLIP_KEYS.get(keys)


def split_attention(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, clips: ClipKeys, scaling: float | None
) -> Tensor:
    """query (branches, heads, 1, d) to output (branches, 1, heads, d).

    key, value: (branches, key heads, n, d), of the branches alone. mask: (branches, 1, 1, n), added to scores.
    """
    branches, heads, _, width = query.shape
    grouped = query.reshape(branches, key.shape[1], heads // key.shape[1], width)
    own, own_log = _attend(grouped, key, value, attn_mask=mask, scale=scaling)
    cells = clips.cells
    seen, seen_log = _attend(cells.fold(grouped), clips.keys, clips.values, attn_mask=cells.mask, scale=scaling)
    share = (cells.unfold(seen_log) - own_log).sigmoid()[..., None]
    output = own.float().lerp(cells.unfold(seen).float(), share)
    return output.to(query.dtype).reshape(branches, 1, heads, width)
