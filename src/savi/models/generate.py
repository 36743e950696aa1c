"""Generation that branches from encoded clips: a clip's key-value cache is filled once, and all turns start from it.

The branches of a clip follow its prefix as they do when they are scored: in one row, under a tree mask, at explicit
positions. So the prefix is never copied, and a token is sampled with the log-probability that it is scored with. Every
branch draws from a random stream of its own, so that a reply depends on its seed and not on its neighbors in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import Cache, PreTrainedModel

from savi.models.drawing import draw_tokens, uniforms_of
from savi.models.family import Family, token_inputs
from savi.models.kv_cache import KVCache, cache_name, keep_clips, require_evaluation_mode
from savi.models.levels import kept_levels, token_levels
from savi.models.score import output_head, position_ids
from savi.models.sharing import Continuation
from savi.models.states import Levels, Stretch
from savi.models.tree import TokenizedRequest, build_tree, pack_trees
from savi.models.windows import masks, recurrent_kinds, windows
from savi.types import Sampling


@torch.no_grad()
def continue_branches(
    model: PreTrainedModel,
    family: Family,
    prefixes: KVCache,
    clips: Sequence[int],
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[int],
    sampling: Sampling,
    end_ids: frozenset[int],
    banned_ids: Tensor,
) -> list[Continuation]:
    """Continue prompts behind their clips' prefixes until an end token or the limit.

    clips: index into the prefixes, one per branch. banned_ids: int64, tokens never sampled (special tokens, which would
    break the next turn's prompt). Branches that are done leave the batch, and clips with them.
    Raises RuntimeError for a model in training mode.
    """
    require_evaluation_mode(model)
    limit = sampling.max_new_tokens
    uniforms = uniforms_of(seeds, sampling, prefixes.next_positions.device)
    totals = torch.zeros_like(uniforms[:, 0])
    written: list[list[int]] = [[] for _ in clips]
    finished = [False] * len(clips)
    head = output_head(model)
    growth = _Growth(model, family, prefixes, clips, prompts, limit - 1)
    hidden = growth.read_prompts()
    # Of the branches that are alive, in order; `totals` has them by branch once these have ended.
    uniforms = uniforms[growth.alive]
    logps = totals[growth.alive]
    for step in range(limit):
        logits = head(hidden).float()
        tokens = draw_tokens(logits, uniforms[:, step], sampling, banned_ids)
        logps += logits.gather(-1, tokens[:, None])[:, 0] - logits.logsumexp(-1)
        drawn = tokens.tolist()  # the one wait for the device in a step
        done = [token in end_ids for token in drawn]
        for branch, token, is_end in zip(growth.alive_list, drawn, done, strict=True):
            finished[branch] = is_end
            if not is_end:
                written[branch].append(token)
        if all(done) or step + 1 == limit:
            break
        if any(done):
            totals[growth.alive] = logps
            going = growth.drop(done)
            tokens, uniforms, logps = tokens[going], uniforms[going], logps[going]
        hidden = growth.read_tokens(tokens)
    totals[growth.alive] = logps
    rows = zip(written, totals.tolist(), finished, strict=True)
    return [Continuation(tuple(ids), logp, ended) for ids, logp, ended in rows]


class _Growth:
    """The branches that are still being written, in slots behind their clips.

    slots: int64 (clips, slots) on the CPU, the branch in each, -1 for none. left: how many tokens may still be read.
    visible: bool (clips, slots, keys and those to come), what its next token sees of the keys that there are, and what
    later ones add: a step's mask is a view. positions: int64 (clips, slots), of the next token. places: int64 (clips,
    keys), of each key in a row of its own, kept up where a layer has a window; behind: int64 (clips, 1), how far
    positions are behind places. states: of recurrent layers, by layer, a row for each branch that is alive, in order;
    before the prompts are read, a row for each clip.
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
        self.model = model
        self.left = left
        self.decoder = family.language_model(model)
        self.recurrent = bool(recurrent_kinds(self.decoder))
        self.windowed = any(windows(self.decoder.config).values())
        self.cache_name = cache_name(self.decoder)
        self.axes = prefixes.axes
        self.prompts = prompts
        self.prefixes = prefixes
        self.owners = sorted(set(clips))
        if len(self.owners) * 2 > len(prefixes.lengths):  # to copy most of the prefixes would nearly double them
            self.owners = list(range(len(prefixes.lengths)))
        branches = [[branch for branch, clip in enumerate(clips) if clip == owner] for owner in self.owners]
        most = max(len(own) for own in branches)
        self.slots = torch.tensor([[*own, *[-1] * (most - len(own))] for own in branches])
        prefixes.rewind()
        self.cache = prefixes.cache
        self.states = prefixes.states
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
        levels = kept_levels(stretches, self.states, self.device) if self.recurrent else None
        hidden = self._forward(packed.ids.to(self.device), positions, mask, levels)
        sizes = torch.tensor([len(prompt) for prompt in self.prompts])[self.slots] * (self.slots >= 0)
        last = (sizes.cumsum(1) - 1).to(self.device)
        rows = torch.arange(len(last), device=self.device)[:, None]
        self.keys = mask.shape[-1]
        self.visible = mask[rows, 0, last]
        self._foresee()
        self.positions = positions[rows, last] + 1
        return hidden[rows, last][self.cells]

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
        if self.windowed:
            self.places = torch.cat([self.places, self.positions + self.behind], dim=1)
        rows, columns = self.cells
        levels = token_levels(rows * slots + columns, self.states) if self.recurrent else None
        hidden = self._forward(ids, self.positions, self.visible[:, None, :, : self.keys], levels)
        self.positions = self.positions + 1
        return hidden.flatten(0, 1) if full else hidden[self.cells]

    def drop(self, done: Sequence[bool]) -> Tensor:
        """Remove branches that are done, and slots and clips without one. done: one bool per branch that was alive.

        Returns the places of the others among them, int64 (alive,).
        """
        going = torch.tensor([index for index, is_end in enumerate(done) if not is_end], device=self.device)
        self.states = {layer: state.pick(going) for layer, state in self.states.items()}
        ended = torch.tensor([branch for branch, is_end in zip(self.alive_list, done, strict=True) if is_end])
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
        if self.cache is self.prefixes.cache:
            self.cache = Cache(layers=list(self.cache.layers))
        keep_clips(self.cache, clips.to(self.device))

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
        self.alive_list: list[int] = self.slots[rows, columns].tolist()
        self.alive = torch.tensor(self.alive_list, device=self.device)

    def _forward(self, ids: Tensor, positions: Tensor, mask: Tensor, levels: Levels | None) -> Tensor:
        """levels: of a recurrent decoder, the tokens of each branch that is alive, in order."""
        output = self.decoder(
            inputs_embeds=self.model.get_input_embeddings()(ids),
            attention_mask=masks(self.decoder, mask, self.places, levels),
            position_ids=position_ids(positions[:, None].expand(-1, self.axes, -1)),
            use_cache=True,
            **{self.cache_name: self.cache},
            **token_inputs(self.decoder, lambda: ids),
        )
        if levels:
            self.states = levels.after
        hidden: Tensor = output.last_hidden_state
        return hidden
