"""The branches of a turn behind their clips' prefixes: a row for each clip, under a mask that tells who sees whom."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import Cache, PreTrainedModel

from savi.models.family import Family
from savi.models.kv_cache import KVCache, keep_clips
from savi.models.levels import kept_levels, token_levels
from savi.models.reader import Reader
from savi.models.states import Stretch
from savi.models.tree import TokenizedRequest, build_tree, pack_trees


class BranchCells:
    """The branches that are still being written, in slots behind their clips.

    slots: int64 (clips, slots) on the CPU, the branch in each, -1 for none. left: how many tokens may still be read.
    visible: bool (clips, slots, keys and those to come), what its next token sees of the keys that there are, and what
    later ones add: a step's mask is a view. positions: int64 (clips, slots), of the next token. places: int64 (clips,
    keys), of each key in a row of its own, kept up where a layer has a window; behind: int64 (clips, 1), how far
    positions are behind places. The reader's states have a row for each branch that is alive, in order; before the
    prompts are read, a row for each clip.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        family: Family,
        prefixes: KVCache,
        clips: Sequence[int],
        prompts: Sequence[Sequence[int]],
        left: int,
    ) -> None:
        self.left = left
        self.prompts = prompts
        self.prefixes = prefixes
        self.owners = sorted(set(clips))
        if len(self.owners) * 2 > len(prefixes.lengths):  # to copy most of the prefixes would nearly double them
            self.owners = list(range(len(prefixes.lengths)))
        branches = [[branch for branch, clip in enumerate(clips) if clip == owner] for owner in self.owners]
        most = max(len(own) for own in branches)
        self.slots = torch.tensor([[*own, *[-1] * (most - len(own))] for own in branches])
        prefixes.rewind()
        self.reader = Reader(model, family, prefixes)
        if len(self.owners) < len(prefixes.lengths):
            self._keep_clips(torch.tensor(self.owners))
        self._find_alive()

    @property
    def device(self) -> torch.device:
        return self.prefixes.next_positions.device

    def read_prompts(self) -> Tensor:
        """Hidden state (alive, d) of each prompt's last token."""
        trees = [
            build_tree([TokenizedRequest(tuple(self.prompts[branch]), ()) for branch in own if branch >= 0])
            for own in self.slots.tolist()
        ]
        lengths = [self.prefixes.lengths[owner] for owner in self.owners]
        packed = pack_trees(trees, lengths, self.prefixes.width)
        mask = packed.mask.to(self.device)
        start = self.prefixes.next_positions[torch.tensor(self.owners, device=self.device), None]
        self.behind = torch.tensor(lengths, device=self.device)[:, None] - start
        self.places = packed.places.to(self.device)
        positions = start + packed.offsets.to(self.device)
        longest = packed.ids.shape[1]
        stretches = [
            Stretch(row * longest + prompt.start, len(prompt), owner)
            for row, (owner, tree) in enumerate(zip(self.owners, trees, strict=True))
            for prompt, _ in tree.blocks
        ]
        levels = kept_levels(stretches, self.reader.states, self.device) if self.reader.recurrent else None
        self.sizes = torch.tensor([len(prompt) for prompt in self.prompts])[self.slots] * (self.slots >= 0)
        last = (self.sizes.cumsum(1) - 1).to(self.device)
        rows = torch.arange(len(last), device=self.device)[:, None]
        wanted = (rows * longest + last)[self.cells]
        hidden = self.reader.read(packed.ids.to(self.device), positions, mask, self.places, levels, wanted)
        self.keys = mask.shape[-1]
        self.visible = mask[rows, 0, last]
        self._foresee()
        self.positions = positions[rows, last] + 1
        return hidden.flatten(0, 1)[wanted]

    def read_tokens(self, tokens: Tensor) -> Tensor:
        """Append a token to each branch that is alive; hidden state (alive, d) that predicts the next."""
        clips, slots = self.slots.shape
        full = len(tokens) == clips * slots
        if full:
            ids = tokens.view(clips, slots)
        else:
            ids = tokens.new_zeros(clips, slots)
            ids[self.cells] = tokens
        self.keys += slots
        self.left -= 1
        if self.reader.windowed:
            self.places = torch.cat([self.places, self.positions + self.behind], dim=1)
        rows, columns = self.cells
        levels = token_levels(rows * slots + columns, self.reader.states) if self.reader.recurrent else None
        hidden = self.reader.read(ids, self.positions, self.visible[:, None, :, : self.keys], self.places, levels)
        self.positions = self.positions + 1
        return hidden.flatten(0, 1) if full else hidden[self.cells]

    def drop(self, done: Sequence[bool]) -> Tensor:
        """Remove branches that are done, and slots and clips without one. done: one bool per branch that was alive.

        Returns the places of the others among them, int64 (alive,).
        """
        going = torch.tensor([index for index, is_end in enumerate(done) if not is_end], device=self.device)
        self.reader.keep_states(going)
        ended = torch.tensor([branch for branch, is_end in zip(self.alive, done, strict=True) if is_end])
        self.slots[torch.isin(self.slots, ended)] = -1
        counts = (self.slots >= 0).sum(1)
        # A clip's prefix is moved when that halves the batch, not each time that one is done.
        if int((counts > 0).sum()) * 2 <= len(counts):
            kept = counts.nonzero()[:, 0]
            self._keep_clips(kept)
            rows = kept.to(self.device)
            self._keep(rows)
            self.places, self.behind = self.places[rows], self.behind[rows]
            self.slots, counts = self.slots[kept], counts[kept]
        if int(counts.max()) < self.slots.shape[1]:
            order = (self.slots < 0).int().argsort(dim=1, stable=True)[:, : int(counts.max())]
            self.slots = self.slots.gather(1, order)
            self._keep(torch.arange(len(order), device=self.device)[:, None], order.to(self.device))
        self._foresee()
        self._find_alive()
        return going

    def _keep_clips(self, clips: Tensor) -> None:
        """Continue with some of the clips, in a cache of their own: the next turn needs the prefixes as they are."""
        if self.reader.cache is self.prefixes.cache:
            self.reader.cache = Cache(layers=list(self.reader.cache.layers))
        keep_clips(self.reader.cache, clips.to(self.device))

    def _keep(self, *index: Tensor) -> None:
        self.visible, self.positions = self.visible[index], self.positions[index]

    def _foresee(self) -> None:
        """Append to what is visible of the keys that there are those to come: of each token, those of its own slot."""
        clips, slots = self.slots.shape
        own = torch.eye(slots, dtype=torch.bool, device=self.device)
        coming = own.repeat(1, self.left).expand(clips, -1, -1)
        self.visible = torch.cat([self.visible[..., : self.keys], coming], dim=2)

    def _find_alive(self) -> None:
        """Which branches are alive, and in which cells of (clips, slots), in the same order."""
        rows, columns = (self.slots >= 0).nonzero(as_tuple=True)
        self.cells = rows.to(self.device), columns.to(self.device)
        self.alive: list[int] = self.slots[rows, columns].tolist()
