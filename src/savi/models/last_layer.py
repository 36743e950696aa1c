"""The last decoder layer of a packed pass computes only the rows whose hidden states are wanted.

Scores need the hidden states from which response tokens are predicted. In the last layer all other tokens are keys and
values alone: their queries, attention outputs and MLPs would be computed for nothing, in the backward pass again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary
from transformers import PreTrainedModel

from savi.models.attention import BRANCHES_ALONE

_WANTED: MutableMapping[Tensor, Tensor] = WeakTensorKeyDictionary()
"""The wanted rows of a pass by its masks, which every layer is handed, and is handed again when it is recomputed."""


def want(masks: Tensor | Mapping[str, object], rows: Tensor) -> None:
    """Say which hidden states of the pass with these masks are wanted. The decoder's others mean nothing then.

    rows: int64 (wanted,), sorted, counted over the batch's rows laid end to end.
    """
    for mask in masks.values() if isinstance(masks, Mapping) else [masks]:
        if isinstance(mask, Tensor):
            _WANTED[mask] = rows


def compute_wanted_rows(decoder: PreTrainedModel) -> None:
    """Let a decoder's last layer compute the wanted rows alone, in passes that say which. Others stay as they are."""
    layers: Any = getattr(decoder, "layers", None)
    layer = layers[-1] if layers else None
    attention = getattr(layer, "self_attn", None)
    if attention is None or not {"q_proj", "o_proj"} <= dict(attention.named_children()).keys():
        return
    read = _Attention(attention)
    attention.forward = read
    mlp = getattr(layer, "mlp", None)
    if mlp is not None:
        mlp.forward = _MLP(mlp, read)


class _Attention:
    """rows: wanted of the pass that is under way; None for all."""

    def __init__(self, attention: nn.Module) -> None:
        self.attention = attention
        self.forward = attention.forward
        self.rows: Tensor | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> object:
        mask = kwargs.get("attention_mask")
        self.rows = _WANTED.get(mask) if isinstance(mask, Tensor) else None
        if self.rows is None:
            return self.forward(*args, **kwargs)
        attention: Any = self.attention
        setattr(attention, BRANCHES_ALONE, True)
        try:
            with _of_rows(attention.q_proj, self.rows), _of_rows(attention.o_proj, self.rows):
                return self.forward(*args, **kwargs)
        finally:
            delattr(attention, BRANCHES_ALONE)


class _MLP:
    """Runs behind the attention of the same layer, in each pass and when it is recomputed."""

    def __init__(self, mlp: nn.Module, attention: _Attention) -> None:
        self.forward = mlp.forward
        self.attention = attention

    def __call__(self, hidden: Tensor) -> Tensor:
        rows = self.attention.rows
        if rows is None:
            return self.forward(hidden)
        return _laid(self.forward(_picked(hidden, rows)), rows, hidden)


@contextmanager
def _of_rows(layer: nn.Module, rows: Tensor) -> Iterator[None]:
    """Have a layer compute these rows of its input. Those of its output that it doesn't compute are 0."""
    whole: list[Tensor] = []

    def before(_: nn.Module, given: tuple[Tensor, ...]) -> Tensor:
        whole[:] = given
        return _picked(given[0], rows)

    hooks = [
        layer.register_forward_pre_hook(before),
        layer.register_forward_hook(lambda _, __, output: _laid(output, rows, whole.pop())),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _picked(hidden: Tensor, rows: Tensor) -> Tensor:
    """(batch, n, width) to (1, rows, width)."""
    return hidden.flatten(0, 1).index_select(0, rows)[None]


def _laid(output: Tensor, rows: Tensor, whole: Tensor) -> Tensor:
    """(1, rows, out) to (batch, n, out), with the batch and length of the whole."""
    laid = output.new_zeros(whole.shape[0] * whole.shape[1], output.shape[-1])
    return laid.index_copy(0, rows, output[0]).view(*whole.shape[:2], -1)
