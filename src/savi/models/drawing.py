"""How a token is drawn: from the nucleus of a tempered distribution, at a number that belongs to the reply's seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from savi.types import Sampling

HEAD = 1024
"""Most probable tokens that are sorted on a CPU, where sorting a whole vocabulary takes longer than a small model. What
they leave open is drawn from all. On a GPU, the host would have to wait to learn that, so all are sorted there."""


def uniforms_of(seeds: Sequence[int], sampling: Sampling, device: torch.device) -> Tensor:
    """float64 (seeds, tokens), from 0 up to 1: a stream of its own for each reply, whatever it is written next to."""
    draws = np.stack([np.random.default_rng(seed).random(sampling.max_new_tokens) for seed in seeds])
    return torch.from_numpy(draws).to(device)


def draw_tokens(logits: Tensor, uniforms: Tensor, sampling: Sampling, banned_ids: Tensor) -> Tensor:
    """Draw one token per row: the best one at temperature 0, else the one at the row's uniform in the nucleus' CDF.

    logits: float (rows, vocabulary), untempered. uniforms: float64 (rows,), from 0 up to 1. banned_ids: int64, tokens
    that are never drawn. Gives token ids, int64 (rows,).
    """
    logits = logits.index_fill(-1, banned_ids, -torch.inf)
    if sampling.temperature == 0:
        return logits.argmax(-1)
    if sampling.temperature != 1:
        logits = logits / sampling.temperature
    probabilities = logits.softmax(-1)
    if probabilities.device.type != "cpu" or sampling.top_p == 1 or probabilities.shape[-1] <= HEAD:
        return _draw_from(*probabilities.sort(descending=True, stable=True), uniforms, sampling.top_p)[0]
    values, order = _head(probabilities)
    tokens, last = _draw_from(values, order, uniforms, sampling.top_p)
    # Of tokens that are as probable as the head's last one, some may be missing, and so may all behind them.
    unsure = ~(values.gather(-1, last) > values[:, -1:])[:, 0]
    if unsure.any():
        whole = probabilities[unsure].sort(descending=True, stable=True)
        tokens[unsure] = _draw_from(*whole, uniforms[unsure], sampling.top_p)[0]
    return tokens


def _head(probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """The HEAD most probable tokens of each row as a stable sort gives them, equal ones by their ids.

    Gives probabilities and ids, (rows, HEAD) each.
    """
    ids = probabilities.topk(HEAD, sorted=False).indices.sort().values
    values, places = probabilities.gather(-1, ids).sort(descending=True, stable=True)
    return values, ids.gather(-1, places)


def _draw_from(values: Tensor, order: Tensor, uniforms: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """Token ids, int64 (rows,), and the place of the nucleus' last token in its row, int64 (rows, 1).

    values: the probabilities of tokens, the best first, float (rows, n). order: their ids, int64 (rows, n).
    """
    cumulative = values.cumsum(-1, dtype=torch.float64)
    # The nucleus is the shortest head that holds top_p; its last token is the one that crosses the line.
    # NaN logits have none: the first token counts as its last, for on a GPU an index that doesn't exist is a crash. The
    # log-probability of the whole reply shows that they were NaN.
    last = (cumulative[:, :-1] < top_p).sum(-1, keepdim=True)
    threshold = uniforms.to(cumulative)[:, None] * cumulative.gather(-1, last)
    chosen = torch.searchsorted(cumulative, threshold, right=True).clamp(max=last)
    return order.gather(-1, chosen)[:, 0], last
