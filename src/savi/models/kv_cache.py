"""The keys and values of clips: computed once, then extended by everything that branches from the clips."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import Cache, DynamicCache, DynamicLayer, PreTrainedModel

from savi.models.family import ClipPrefix, Family, clips_at_once
from savi.models.score import pad_prefixes, position_ids

ROOM = 256
"""Tokens that a cache is enlarged by when it is full."""


class GrowingLayer(DynamicLayer):
    """One layer's keys and values, (clips, heads, tokens, head_dim), in buffers with room behind them.

    Appending a token doesn't copy the tokens before it, as transformers' own dynamic layer does.
    """

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.lazy_initialization(keys, values)
        self._buffers = keys, values
        self.keys, self.values = keys, values

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append (clips, heads, n, head_dim) each; all that is held, these last."""
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if end > self._buffers[0].shape[-2]:
            room = end - start + ROOM
            self._buffers = pad(self.keys, (0, 0, 0, room)), pad(self.values, (0, 0, 0, room))
        keys, values = self._buffers
        keys[..., start:end, :] = key_states
        values[..., start:end, :] = value_states
        self.keys, self.values = keys[..., :end, :], values[..., :end, :]
        return self.keys, self.values


@dataclass(frozen=True)
class KVCache:
    """Keys and values of a batch of prefixes under one adapter, padded on the right to the longest.

    cache: of GrowingLayer. lengths: of the prefixes, in tokens. next_positions: int64 (clips,). axes: how many
    position axes the family has.
    """

    cache: Cache
    lengths: tuple[int, ...]
    next_positions: Tensor
    axes: int

    @property
    def width(self) -> int:
        """Columns of the prefixes. The branches of the turn follow them."""
        return max(self.lengths)

    def rewind(self) -> None:
        """Drop what the last turn has written behind the prefixes."""
        self.cache.crop(self.width - self.cache.get_seq_length())


def cache_name(decoder: PreTrainedModel) -> str:
    """The argument by which a decoder takes its cache: newer versions of transformers have renamed it."""
    return "cache" if "cache" in inspect.signature(decoder.forward).parameters else "past_key_values"


def require_evaluation_mode(model: PreTrainedModel) -> None:
    """Raise RuntimeError for a model in training mode: nothing that it writes would be what it is scored for.

    Dropout is active there, and under gradient checkpointing some versions of transformers drop the cache.
    """
    if model.training:
        raise RuntimeError("a model generates in evaluation mode only; call eval() first")


@torch.no_grad()
def fill_kv_cache(model: PreTrainedModel, family: Family, prefixes: Sequence[ClipPrefix]) -> KVCache:
    """Read every prefix once. Those of one length are read together, so that none is padded.

    Raises RuntimeError for a model in training mode (see :func:`require_evaluation_mode`).
    """
    require_evaluation_mode(model)
    order = sorted(range(len(prefixes)), key=lambda index: len(prefixes[index]))
    at_once = clips_at_once(prefixes)
    passes: list[list[int]] = []
    for index in order:
        if passes and len(passes[-1]) < at_once and len(prefixes[index]) == len(prefixes[passes[-1][0]]):
            passes[-1].append(index)
        else:
            passes.append([index])
    caches = [_read(model, family, [prefixes[i] for i in indices]) for indices in passes]
    width = max(len(prefix) for prefix in prefixes)
    place = torch.tensor(order).argsort()
    layers = []
    for parts in zip(*(cache.layers for cache in caches), strict=True):
        keys = torch.cat([pad(layer.keys, (0, 0, 0, width - layer.keys.shape[-2])) for layer in parts])
        values = torch.cat([pad(layer.values, (0, 0, 0, width - layer.values.shape[-2])) for layer in parts])
        layers.append(GrowingLayer(keys, values) if len(parts) == 1 else GrowingLayer(keys[place], values[place]))
    device = prefixes[0].embeds.device
    return KVCache(
        cache=Cache(layers=layers),
        lengths=tuple(len(prefix) for prefix in prefixes),
        next_positions=torch.tensor([prefix.next_position for prefix in prefixes], device=device),
        axes=prefixes[0].positions.shape[0],
    )


def _read(model: PreTrainedModel, family: Family, prefixes: Sequence[ClipPrefix]) -> DynamicCache:
    """One pass over prefixes of one length."""
    embeds, positions = pad_prefixes(prefixes)
    clips, width = embeds.shape[:2]
    cache = DynamicCache()
    decoder = family.language_model(model)
    decoder(
        inputs_embeds=embeds,
        # No branch: all of a row is prefix.
        attention_mask=torch.zeros(clips, 1, 0, width, dtype=torch.bool, device=embeds.device),
        position_ids=position_ids(positions),
        use_cache=True,
        **{cache_name(decoder): cache},
        **family.decoder_extras(prefixes, width),
    )
    if cache.get_seq_length() != width:
        raise RuntimeError(f"the decoder kept {cache.get_seq_length()} of {width} tokens in its cache")
    return cache
