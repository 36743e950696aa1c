"""Sharing a clip under recurrent layers: each stretch of tokens begins with the state in which another one ended.

A recurrent layer (the gated delta rule of Qwen3.5, Yang et al. 2024; the short convolution of LFM) needs no mask to
tell branches apart. It needs the state before their first token. So the layer reads a packed row level by level: the
prefixes, then all prompts from the states of their clips, then all responses from the states of their prompts. It
happens inside the layer's own forward, so gradients flow through the states, and recomputation under gradient
checkpointing sees nothing else.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import Cache
from transformers.cache_utils import LinearAttentionLayer


@dataclass(frozen=True)
class State:
    """What a recurrent layer carries on, a row for each stretch.

    columns: (rows, channels, kernel), the last inputs of its short convolution. memory: (rows, heads, key width, value
    width), None for a layer that is a convolution alone.
    """

    columns: Tensor
    memory: Tensor | None

    def pick(self, rows: Tensor) -> State:
        """The rows with these indices, int64 (n,)."""
        return State(self.columns[rows], None if self.memory is None else self.memory[rows])


def joined(states: Sequence[State]) -> State:
    """The rows of several states, in order."""
    if len(states) == 1:
        return states[0]
    memories = [one.memory for one in states if one.memory is not None]
    return State(torch.cat([one.columns for one in states]), torch.cat(memories) if memories else None)


@dataclass(frozen=True)
class Stretch:
    """Consecutive tokens of a packed batch. first: index of the first one, counted over rows laid end to end.

    start: which of the states before its level it begins with; None for an empty one.
    """

    first: int
    length: int
    start: int | None


@dataclass(frozen=True)
class Run:
    """Stretches that a layer reads as one batch.

    cells: int64 (stretches, longest), indices of their tokens. filled: int64 (tokens,), the cells with a token, counted
    over rows laid end to end; None for all. starts: int64 (stretches,), None for empty states. carries: whether the
    states at their ends are needed.
    """

    cells: Tensor
    filled: Tensor | None
    starts: Tensor | None
    carries: bool


@dataclass
class Levels:
    """The runs of each level, to be handed to recurrent layers in place of a mask.

    before: the states that the first level begins with, by layer. order: int64 (stretches,), the places of the last
    level's states in the order in which a later pass takes them; None where none follows. after: these, by layer.
    """

    runs: Sequence[Sequence[Run]]
    before: Mapping[int, State] = field(default_factory=dict)
    order: Tensor | None = None
    after: dict[int, State] = field(default_factory=dict)


def carrying_runs(stretches: Sequence[Stretch], device: torch.device) -> tuple[list[Run], list[int]]:
    """Runs whose states are needed, and the place of each stretch's state among them.

    Stretches of one length are read together, so that none is padded: the state behind a padded token is another.
    """
    by_length: dict[int, list[int]] = {}
    for index, stretch in enumerate(stretches):
        by_length.setdefault(stretch.length, []).append(index)
    order = [index for group in by_length.values() for index in group]
    places = [0] * len(order)
    for place, index in enumerate(order):
        places[index] = place
    runs = [_run([stretches[index] for index in group], True, device) for group in by_length.values()]
    return runs, places


def last_run(stretches: Sequence[Stretch], device: torch.device) -> Run:
    """One run of stretches that nothing begins behind, padded on the right to the longest."""
    return _run(stretches, False, device)


def _run(stretches: Sequence[Stretch], carries: bool, device: torch.device) -> Run:
    lengths = torch.tensor([stretch.length for stretch in stretches])
    steps = torch.arange(int(lengths.max()))
    first = torch.tensor([stretch.first for stretch in stretches])[:, None]
    filled = steps < lengths[:, None]
    starts = [stretch.start for stretch in stretches if stretch.start is not None]
    return Run(
        cells=(first + steps * filled).to(device),
        filled=None if bool(filled.all()) else filled.flatten().nonzero()[:, 0].to(device),
        starts=torch.tensor(starts, device=device) if starts else None,
        carries=carries,
    )


def hand_on_states(decoder: nn.Module) -> None:
    """Let a decoder's recurrent layers read a packed batch by :class:`Levels`, where they are handed some as a mask.

    Without them they do what they always do.
    """
    recurrent = _recurrent(decoder)
    for block in decoder.modules():
        for layer in block.children():
            if layer in recurrent:
                read: Any = layer
                read.forward = _ByLevels(read.forward, read.layer_idx, block)


def state_bytes(decoder: nn.Module) -> int:
    """Bytes of one row's states in all recurrent layers: columns in 2 bytes, memories in the 4 that they have."""
    total = 0
    layers: list[Any] = _recurrent(decoder)
    for layer in layers:
        convolution = next(module for module in layer.children() if isinstance(module, nn.Conv1d))
        total += 2 * convolution.in_channels * convolution.kernel_size[0]
        if hasattr(layer, "num_v_heads"):
            total += 4 * layer.num_v_heads * layer.head_k_dim * layer.head_v_dim
    return total


def _recurrent(decoder: nn.Module) -> list[nn.Module]:
    """The layers of the gated delta rule, and short convolutions."""
    return [m for m in decoder.modules() if type(m).__name__.endswith(("GatedDeltaNet", "ShortConv"))]


class _ByLevels:
    """A recurrent layer's forward, called once for each run.

    block: the decoder layer around it. Where that computes its activations again in the backward pass, each run does so
    once more, so that the activations of one run are held at a time, and not those of all.
    """

    def __init__(self, forward: Callable[..., Tensor], layer: int, block: nn.Module) -> None:
        self.forward = forward
        self.layer = layer
        self.block = block
        # Newer versions of transformers have renamed it.
        self.cache = "cache" if "cache" in inspect.signature(forward).parameters else "cache_params"

    def __call__(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        levels = kwargs.get("attention_mask")
        if not isinstance(levels, Levels):
            return self.forward(hidden_states, *args, **kwargs)
        kwargs["attention_mask"] = None
        again = torch.is_grad_enabled() and self.block.training and getattr(self.block, "gradient_checkpointing", False)
        read = partial(checkpoint, self._read, use_reentrant=False) if again else self._read
        tokens = hidden_states.flatten(0, 1)
        cells: list[Tensor] = []
        outputs: list[Tensor] = []
        states = levels.before.get(self.layer)
        for runs in levels.runs:
            ended = []
            for run in runs:
                start = states.pick(run.starts) if states and run.starts is not None else None
                output, end = read(tokens[run.cells], start, kwargs)
                places, output = run.cells.flatten(), output.flatten(0, 1)
                cells.append(places if run.filled is None else places[run.filled])
                outputs.append(output if run.filled is None else output[run.filled])
                if run.carries:
                    ended.append(end)
            if ended:
                states = joined(ended)
        if levels.order is not None and states:
            levels.after[self.layer] = states.pick(levels.order)
        laid = torch.zeros_like(tokens).index_copy(0, torch.cat(cells), torch.cat(outputs))
        return laid.view_as(hidden_states)

    def _read(self, tokens: Tensor, start: State | None, given: dict[str, Any]) -> tuple[Tensor, State]:
        """A run's outputs, and the states at its end. tokens: (stretches, longest, width). given: to the layer."""
        carried = _Carried(start)
        output = self.forward(tokens, **{**given, self.cache: Cache(layers=[carried] * (self.layer + 1))})
        return output, carried.end


class _Carried(LinearAttentionLayer):
    """One run's states in a recurrent layer: those that it begins with, and those at its end.

    Nothing is written in place, as transformers' own does: the states are part of the graph that gradients go through.
    """

    def __init__(self, start: State | None) -> None:
        super().__init__()
        self.record_past = True  # otherwise a layer that reads one token writes the columns itself, in place
        self.has_previous_state[0] = start is not None
        self._memory: Tensor | None = None
        if start is not None:
            self.conv_states[0], self.recurrent_states[0] = start.columns, start.memory

    @property
    def end(self) -> State:
        return State(self._columns, self._memory)

    def update_conv_state(self, conv_states: Tensor, state_idx: int = 0, **kwargs: Any) -> Tensor:
        """The columns before a run and its own, (rows, channels, kernel + n)."""
        kernel = kwargs["conv_kernel_size"]
        before = self.conv_states[0]
        if before is None:
            before = conv_states.new_zeros(*conv_states.shape[:-1], kernel)
        columns = torch.cat([before, conv_states], dim=-1)
        self._columns = columns[..., -kernel:]
        return columns

    def update_recurrent_state(self, recurrent_states: Tensor, state_idx: int = 0, **kwargs: Any) -> Tensor:
        self._memory = recurrent_states
        return recurrent_states
