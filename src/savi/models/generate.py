"""Generation that branches from kept prefixes: each clip's key-value cache is filled once, all turns start from it.

Positions are explicit, so that the log-probability a token is sampled with is the one it is scored with. Every row
draws from a random stream of its own, so that a reply hangs on its seed and not on its neighbours in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import DynamicCache

from savi.models.family import ClipPrefix, Family
from savi.models.score import position_ids
from savi.types import Sampling


@dataclass(frozen=True)
class PrefixCache:
    """Keys and values of a batch of prefixes under one adapter, padded on the right.

    layers: (keys, values) a layer, each (clips, heads, width, head_dim). valid: bool (clips, width).
    next_positions: int64 (clips,). axes: how many position axes the family has.
    """

    layers: list[tuple[Tensor, Tensor]]
    valid: Tensor
    next_positions: Tensor
    axes: int


@dataclass(frozen=True)
class Continuation:
    """Sampled token ids, without the end token, and the sum of log-probabilities, the end token's too."""

    ids: tuple[int, ...]
    logp: float
    finished: bool


@torch.no_grad()
def fill_cache(model: nn.Module, family: Family, prefixes: Sequence[ClipPrefix]) -> PrefixCache:
    """Read every prefix once, in one batch."""
    lengths = torch.tensor([len(prefix) for prefix in prefixes])
    width = int(lengths.max())
    embeds = torch.stack([nn.functional.pad(p.embeds, (0, 0, 0, width - len(p))) for p in prefixes])
    positions = torch.stack([nn.functional.pad(p.positions, (0, width - len(p))) for p in prefixes])
    valid = (torch.arange(width) < lengths[:, None]).to(embeds.device)
    causal = torch.ones(width, width, dtype=torch.bool, device=embeds.device).tril()
    cache = DynamicCache()
    family.language_model(model)(
        inputs_embeds=embeds,
        # Padding sits on the right, where a causal mask hides it from every real token already.
        attention_mask=causal.expand(len(prefixes), 1, width, width),
        position_ids=position_ids(positions),
        past_key_values=cache,
        use_cache=True,
        **family.decoder_extras(prefixes, width),
    )
    return PrefixCache(
        layers=[(layer.keys, layer.values) for layer in cache.layers],
        valid=valid,
        next_positions=torch.tensor([p.next_position for p in prefixes], device=embeds.device),
        axes=positions.shape[1],
    )


@torch.no_grad()
def continue_branches(
    model: Any,
    family: Family,
    prefixes: PrefixCache,
    clips: Sequence[int],
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[int],
    sampling: Sampling,
    end_ids: frozenset[int],
    banned_ids: Tensor,
) -> list[Continuation]:
    """Continue prompts behind their clips' prefixes until an end token or the limit.

    clips: index into the prefixes, one a row. banned_ids: int64, tokens never sampled (special tokens, which would
    break the next turn's prompt). Rows that are done leave the batch.
    """
    state = _Rows.start(prefixes, clips, prompts)
    draws = np.stack([np.random.default_rng(seed).random(sampling.max_new_tokens) for seed in seeds])
    uniforms = torch.from_numpy(draws)
    ends = torch.tensor(sorted(end_ids), device=state.device)
    ids: list[list[int]] = [[] for _ in clips]
    logps = [0.0] * len(clips)
    finished = [False] * len(clips)
    alive = list(range(len(clips)))
    hidden = state.read_prompts(model, family, prompts)
    for step in range(sampling.max_new_tokens):
        logits = model.get_output_embeddings()(hidden).float()
        tokens = _draw(logits, uniforms[alive, step], sampling, banned_ids)
        token_logps = logits.log_softmax(-1).gather(-1, tokens[:, None])[:, 0]
        done = torch.isin(tokens, ends).tolist()
        for row, token, logp, is_end in zip(alive, tokens.tolist(), token_logps.tolist(), done, strict=True):
            logps[row] += logp
            finished[row] = is_end
            if not is_end:
                ids[row].append(token)
        keep = [index for index, is_end in enumerate(done) if not is_end]
        if not keep or step + 1 == sampling.max_new_tokens:
            break
        alive = [alive[index] for index in keep]
        if len(keep) < len(done):
            state.select(torch.tensor(keep, device=state.device))
            tokens = tokens[keep]
        hidden = state.read_tokens(model, family, tokens)
    return [Continuation(tuple(i), p, f) for i, p, f in zip(ids, logps, finished, strict=True)]


class _Rows:
    """The growing cache of the branches that are still being written."""

    def __init__(self, cache: DynamicCache, valid: Tensor, positions: Tensor, axes: int) -> None:
        self.cache = cache
        self.valid = valid  # bool (rows, cached tokens)
        self.positions = positions  # int64 (rows,), of the next token
        self.axes = axes
        self.device = valid.device

    @classmethod
    def start(cls, prefixes: PrefixCache, clips: Sequence[int], prompts: Sequence[Sequence[int]]) -> _Rows:
        index = torch.tensor(clips, device=prefixes.valid.device)
        cache = DynamicCache()
        for layer, (keys, values) in enumerate(prefixes.layers):
            cache.update(keys[index], values[index], layer)
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=index.device)
        steps = torch.arange(int(lengths.max()), device=index.device)
        valid = torch.cat([prefixes.valid[index], steps < lengths[:, None]], dim=1)
        return cls(cache, valid, prefixes.next_positions[index], prefixes.axes)

    def read_prompts(self, model: Any, family: Family, prompts: Sequence[Sequence[int]]) -> Tensor:
        """Hidden state (rows, d) of each prompt's last token. Prompts are padded on the right."""
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=self.device)
        width = int(lengths.max())
        ids = torch.tensor([[*prompt, *[0] * (width - len(prompt))] for prompt in prompts], device=self.device)
        prefix = self.valid.shape[1] - width
        causal = torch.ones(width, width, dtype=torch.bool, device=self.device).tril()
        mask = self.valid[:, None, :].repeat(1, width, 1)
        mask[:, :, prefix:] &= causal
        positions = self.positions[:, None] + torch.arange(width, device=self.device)
        hidden = self._forward(model, family, ids, positions, mask)
        self.positions = self.positions + lengths
        return hidden[torch.arange(len(prompts), device=self.device), lengths - 1]

    def read_tokens(self, model: Any, family: Family, tokens: Tensor) -> Tensor:
        """Append one token a row; hidden state (rows, d) that predicts the next."""
        self.valid = torch.cat([self.valid, self.valid.new_ones(len(tokens), 1)], dim=1)
        hidden = self._forward(model, family, tokens[:, None], self.positions[:, None], self.valid[:, None, :])
        self.positions = self.positions + 1
        return hidden[:, 0]

    def select(self, rows: Tensor) -> None:
        self.cache.batch_select_indices(rows)
        self.valid = self.valid[rows]
        self.positions = self.positions[rows]

    def _forward(self, model: Any, family: Family, ids: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        output = family.language_model(model)(
            inputs_embeds=model.get_input_embeddings()(ids),
            attention_mask=mask[:, None],
            position_ids=position_ids(positions[:, None, :].expand(-1, self.axes, -1)),
            past_key_values=self.cache,
            use_cache=True,
        )
        hidden: Tensor = output.last_hidden_state
        return hidden


def _draw(logits: Tensor, uniforms: Tensor, sampling: Sampling, banned_ids: Tensor) -> Tensor:
    """Token ids (rows,): the best one at temperature 0, else the one at a row's uniform in the nucleus' CDF."""
    logits = logits.index_fill(-1, banned_ids, -torch.inf)
    if sampling.temperature == 0:
        return logits.argmax(-1)
    probabilities, order = (logits / sampling.temperature).softmax(-1).sort(descending=True, stable=True)
    cumulative = probabilities.double().cumsum(-1)
    # The nucleus is the shortest head that holds top_p; its last token is the one that crosses the line.
    nucleus = ((cumulative - probabilities) < sampling.top_p).sum(-1, keepdim=True) - 1
    threshold = uniforms.to(cumulative)[:, None] * cumulative.gather(-1, nucleus)
    chosen = torch.searchsorted(cumulative, threshold, right=True).clamp(max=nucleus)
    return order.gather(-1, chosen)[:, 0]
