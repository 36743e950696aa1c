"""The keys and values of clips: computed once, then extended by everything that branches from the clips."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import Cache, DynamicCache, DynamicLayer, PreTrainedModel

from savi.models.family import ClipPrefix, Family, clips_at_once, token_inputs
from savi.models.last_layer import want
from savi.models.levels import kept_levels
from savi.models.score import pad_ids, pad_prefixes, position_ids
from savi.models.states import State, Stretch, joined
from savi.models.windows import masks, recurrent_kinds


class GrowingLayer(DynamicLayer):
    """One layer's keys and values, (clips, heads, tokens, head_dim), in buffers with room behind them.

    Appending a token doesn't copy the tokens before it, as transformers' own dynamic layer does.
    room: tokens that the buffers are enlarged by when they are full.
    """

    room = 256

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
            self.reserve(end + self.room)
        keys, values = self._buffers
        keys[..., start:end, :] = key_states
        values[..., start:end, :] = value_states
        self.keys, self.values = keys[..., :end, :], values[..., :end, :]
        return self.keys, self.values

    def reserve(self, tokens: int) -> tuple[Tensor, Tensor]:
        """Keys and values, (clips, heads, tokens, head_dim) each, in the buffers: those held, and room behind them."""
        held = self.get_seq_length()
        if tokens > self._buffers[0].shape[-2]:
            keys, values = (pad(part, (0, 0, 0, tokens - held)) for part in (self.keys, self.values))
            self._buffers = keys, values
            self.keys, self.values = keys[..., :held, :], values[..., :held, :]
        keys, values = self._buffers
        return keys[..., :tokens, :], values[..., :tokens, :]


class PassCache(DynamicCache):
    """The cache of one pass over prefixes of one length. Keys and values go straight to where they stay.

    filled: the layers of all clips, to which the first pass adds; one that keeps no keys stays empty. rows:
    int64 (n,), the clips of this pass. clips, width: of the whole. length: tokens that the decoder has kept.

    The decoder gets back what it has just computed, so no more than one layer of one pass is held twice.
    """

    def __init__(self, filled: list[DynamicLayer], rows: Tensor, clips: int, width: int) -> None:
        super().__init__()
        self.filled = filled
        self.rows = rows
        self.shape = clips, width
        self.length = 0

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Keep (n, heads, tokens, head_dim) each."""
        self.filled.extend(DynamicLayer() for _ in range(layer_idx + 1 - len(self.filled)))
        if not self.filled[layer_idx].is_initialized:
            clips, width = self.shape
            empty = [part.new_zeros(clips, part.shape[1], width, part.shape[3]) for part in (key_states, value_states)]
            self.filled[layer_idx] = GrowingLayer(*empty)
        layer = self.filled[layer_idx]
        self.length = key_states.shape[-2]
        layer.keys[self.rows, :, : self.length] = key_states
        layer.values[self.rows, :, : self.length] = value_states
        return key_states, value_states


@dataclass(frozen=True)
class KVCache:
    """Keys and values of a batch of prefixes under one adapter, padded on the right to the longest.

    cache: of GrowingLayer, where a layer has keys. states: of the recurrent layers, by their index, a row for each
    clip. lengths: of the prefixes, in tokens. next_positions: int64 (clips,). axes: how many position axes the family
    has.
    """

    cache: Cache
    states: Mapping[int, State]
    lengths: tuple[int, ...]
    next_positions: Tensor
    axes: int

    @property
    def width(self) -> int:
        """Columns of the prefixes. The branches of the turn follow them."""
        return max(self.lengths)

    def rewind(self) -> None:
        """Drop what the last turn has written behind the prefixes."""
        remove = held(self.cache) - self.width
        for layer in self.cache.layers:
            if layer.is_initialized:  # transformers 5.18 crops the keys of recurrent layers, too, which have none
                layer.crop(-remove)


def held(cache: Cache) -> int:
    """Tokens whose keys and values a cache holds."""
    return max(layer.get_seq_length() for layer in cache.layers)


def keep_clips(cache: Cache, clips: Tensor) -> None:
    """Copy some of the clips, int64 (n,), and let go of the others layer by layer."""
    for index, layer in enumerate(cache.layers):
        if layer.is_initialized:
            cache.layers[index] = GrowingLayer(layer.keys[clips], layer.values[clips])


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
    width = max(len(prefix) for prefix in prefixes)
    device = prefixes[0].embeds.device
    layers: list[DynamicLayer] = []
    states = []
    for indices in passes:
        cache = PassCache(layers, torch.tensor(indices, device=device), len(prefixes), width)
        states.append(_read(model, family, [prefixes[index] for index in indices], cache))
    place = torch.tensor(order, device=device).argsort()
    return KVCache(
        cache=Cache(layers=layers),
        # Taken out of the passes layer by layer, so that one layer's states are held twice and no more.
        states={layer: joined([ended.pop(layer) for ended in states]).pick(place) for layer in list(states[0])},
        lengths=tuple(len(prefix) for prefix in prefixes),
        next_positions=torch.tensor([prefix.next_position for prefix in prefixes], device=device),
        axes=prefixes[0].positions.shape[0],
    )


def _read(model: PreTrainedModel, family: Family, prefixes: Sequence[ClipPrefix], cache: PassCache) -> dict[int, State]:
    """One pass over prefixes of one length, whose keys and values go to the cache. The states of recurrent layers."""
    embeds, positions = pad_prefixes(prefixes)
    clips, width = embeds.shape[:2]
    decoder = family.language_model(model)
    rows = [Stretch(clip * width, width, None) for clip in range(clips)]
    levels = kept_levels(rows, {}, embeds.device) if recurrent_kinds(decoder) else None
    no_branch = torch.zeros(clips, 1, 0, width, dtype=torch.bool, device=embeds.device)
    places = torch.arange(width, device=embeds.device).expand(clips, -1)
    seen = masks(decoder, no_branch, places, levels, prefixes)
    want(seen, places.new_zeros(1))  # of the last layer its keys and values alone; no layer takes no rows
    decoder(
        inputs_embeds=embeds,
        attention_mask=seen,
        position_ids=position_ids(positions),
        use_cache=True,
        **{cache_name(decoder): cache},
        **family.decoder_extras(prefixes, width),
        **token_inputs(decoder, lambda: pad_ids(prefixes)),
    )
    if cache.length != width:
        raise RuntimeError(f"the decoder kept {cache.length} of {width} tokens in its cache")
    return levels.after if levels else {}
