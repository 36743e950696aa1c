"""How a token is drawn: from the nucleus of a tempered distribution, at a number that belongs to the reply's seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from savi.types import Sampling


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
    probabilities, order = (logits / sampling.temperature).softmax(-1).sort(descending=True, stable=True)
    cumulative = probabilities.double().cumsum(-1)
    # The nucleus is the shortest head that holds top_p; its last token is the one that crosses the line.
    # NaN logits have no nucleus. The index must exist even so, or a GPU would fail with it. The log-probability of the
    # whole reply shows that they were NaN.
    nucleus = (((cumulative - probabilities) < sampling.top_p).sum(-1, keepdim=True) - 1).clamp(min=0)
    threshold = uniforms.to(cumulative)[:, None] * cumulative.gather(-1, nucleus)
    chosen = torch.searchsorted(cumulative, threshold, right=True).clamp(max=nucleus)
    return order.gather(-1, chosen)[:, 0]
