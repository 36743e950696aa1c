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
    if sampling.temperature != 1:
        logits = logits / sampling.temperature
    probabilities, order = logits.softmax(-1).sort(descending=True, stable=True)
    cumulative = probabilities.cumsum(-1, dtype=torch.float64)
    # The nucleus is the shortest head that holds top_p; its last token is the one that crosses the line.
    # NaN logits have none: the first token counts as its last, for on a GPU an index that doesn't exist is a crash. The
    # log-probability of the whole reply shows that they were NaN.
    nucleus = (cumulative[:, :-1] < sampling.top_p).sum(-1, keepdim=True)
    threshold = uniforms.to(cumulative)[:, None] * cumulative.gather(-1, nucleus)
    chosen = torch.searchsorted(cumulative, threshold, right=True).clamp(max=nucleus)
    return order.gather(-1, chosen)[:, 0]
