"""Log-probabilities of responses from hidden states, never holding the logits of all tokens at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def segment_logps(
    hidden: Tensor,
    head: Callable[[Tensor], Tensor],
    targets: Tensor,
    segments: Tensor,
    count: int,
    chunk: int = 1024,
) -> Tensor:
    """Summed log-probabilities of responses, float32 (count,); 0 for a segment without tokens.

    hidden: (tokens, width), each from the position *before* its target. head: width to vocabulary. targets: int64
    (tokens,). segments: int64 (tokens,), the response that each token belongs to, below `count`.

    Logits exist for `chunk` tokens at a time, in float32 for the softmax, and again when gradients are computed: the
    backward pass recomputes them, which costs the head a second forward and is exact.
    """
    sums = torch.zeros(count, dtype=torch.float32, device=hidden.device)
    for rows, wanted, owners in zip(*(part.split(chunk) for part in (hidden, targets, segments)), strict=True):
        if torch.is_grad_enabled():
            logps = checkpoint(_target_logps, rows, head, wanted, use_reentrant=False)
        else:
            logps = _target_logps(rows, head, wanted)
        sums = sums.index_add(0, owners, logps)
    return sums


def _target_logps(hidden: Tensor, head: Callable[[Tensor], Tensor], targets: Tensor) -> Tensor:
    """log p(target) of each row, float32 (tokens,)."""
    return -F.cross_entropy(head(hidden).float(), targets, reduction="none")
