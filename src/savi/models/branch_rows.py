"""The branches of a turn as a batch of their own, a row each, next to the prefixes of their clips.

On a CPU, arithmetic is what takes the time of a step. In a row for each clip (`branch_cells`), a step computes for all
slots of the row, and the attention of each slot reads the keys of all branches. Here a step computes for the branches
that are alive, and the attention of a branch reads its clip's keys and its own (`split_attention`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import Cache, DynamicLayer

from savi.models.branch_cells import BranchCells
from savi.models.kv_cache import GrowingLayer
from savi.models.levels import token_levels
from savi.models.split_attention import Cells, ClipKeys, put_behind

FEWEST_UNSEEN = 128
"""Keys of other branches that each branch is spared. With fewer, one masked kernel costs no more than two joined."""


class BranchLayer(GrowingLayer):
    """One layer's keys and values of the branches, (branches, heads, n, d), which follow those of their clips."""

    room = 64

    def __init__(self, keys: Tensor, values: Tensor, clips: ClipKeys) -> None:
        super().__init__(keys, values)
        self.clips = clips

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        keys, values = super().update(key_states, value_states)
        put_behind(keys, self.clips)
        return keys, values

    def pick(self, branches: Tensor, clips: Tensor | None, cells: Cells) -> None:
        """Continue with some of the branches, and with some of the clips or all of them. Both int64 (n,)."""
        keys, values = self._buffers
        self._buffers = keys[branches], values[branches]
        self.keys, self.values = (buffer[..., : self.get_seq_length(), :] for buffer in self._buffers)
        seen = self.clips.keys, self.clips.values
        if clips is not None:
            seen = seen[0][clips], seen[1][clips]
        self.clips = ClipKeys(*seen, cells)


def as_rows(cells: BranchCells) -> BranchRows | None:
    """Branches that have read their prompts, as rows. None where that is no gain, or the kernel can't do it.

    A window would take a mask over its clip for each branch.
    """
    layers = [layer for layer in cells.reader.cache.layers if layer.is_initialized]
    alike = all(layer.keys.shape[-1] == layer.values.shape[-1] for layer in layers)  # the kernel takes no others
    unseen = cells.keys - cells.prefixes.width - int(cells.sizes.max())
    if cells.device.type != "cpu" or cells.reader.windowed or not alike or unseen < FEWEST_UNSEEN:
        return None
    return BranchRows(cells)


class BranchRows:
    """Branches that are still being written, by their clips.

    alive: which these are. owners: the clip of each, an index into the layers' keys of clips. lengths: of these clips,
    padded to `width`. positions: int64 (branches, 1), of the next token. keys: how many keys a branch has of its own.
    mask: (branches, 1, 1, these and those to come), what is added to scores, as prompts are padded behind their ends.
    """

    def __init__(self, cells: BranchCells) -> None:
        self.reader = cells.reader
        self.width = cells.prefixes.width
        self.alive = cells.alive
        rows, slots = cells.cells
        self.owners: list[int] = rows.tolist()
        self.lengths = [cells.prefixes.lengths[owner] for owner in cells.owners]
        self.positions = cells.positions[rows, slots][:, None]
        sizes = cells.sizes[rows, slots][:, None]
        starts = (cells.sizes.cumsum(1) - cells.sizes)[rows, slots][:, None]
        own = torch.arange(int(sizes.max()))
        self.keys = len(own)
        mask = torch.zeros(len(sizes), len(own)).masked_fill_(own >= sizes, -torch.inf)
        self.mask = pad(mask, (0, cells.left))[:, None, None]
        columns = (self.width + starts + own).clamp(max=cells.keys - 1)
        clips = Cells.of(self.owners, self.lengths, self.width)

        def branch_layer(layer: DynamicLayer) -> BranchLayer:
            keys, values = (part[rows[:, None], :, columns].transpose(1, 2) for part in (layer.keys, layer.values))
            seen = layer.keys[..., : self.width, :], layer.values[..., : self.width, :]
            return BranchLayer(keys, values, ClipKeys(*seen, clips))

        layers: list[Any] = list(self.reader.cache.layers)
        layers = [branch_layer(layer) if layer.is_initialized else layer for layer in layers]
        self.reader.cache = Cache(layers=layers)

    def read_tokens(self, tokens: Tensor) -> Tensor:
        """Append a token to each branch; hidden state (branches, d) that predicts the next."""
        self.keys += 1
        reader = self.reader
        levels = token_levels(torch.arange(len(tokens)), reader.states) if reader.recurrent else None
        hidden = reader.read(tokens[:, None], self.positions, self.mask[..., : self.keys], None, levels)
        self.positions = self.positions + 1
        return hidden[:, 0]

    def drop(self, done: Sequence[bool]) -> Tensor:
        """Remove branches that are done, and clips without one. done: one bool per branch that was alive.

        Returns the places of the others among them, int64 (alive,).
        """
        places = [place for place, is_end in enumerate(done) if not is_end]
        going = torch.tensor(places)
        self.reader.keep_states(going)
        self.alive = [self.alive[place] for place in places]
        self.positions, self.mask = self.positions[going], self.mask[going]
        self.owners = [self.owners[place] for place in places]
        kept = sorted(set(self.owners))
        # A clip's keys are moved when that halves them, not each time that one is done.
        halved = len(kept) * 2 <= len(self.lengths)
        if halved:
            self.owners = [kept.index(owner) for owner in self.owners]
            self.lengths = [self.lengths[clip] for clip in kept]
        cells = Cells.of(self.owners, self.lengths, self.width)
        for layer in self.reader.cache.layers:
            if isinstance(layer, BranchLayer):
                layer.pick(going, torch.tensor(kept) if halved else None, cells)
        return going
