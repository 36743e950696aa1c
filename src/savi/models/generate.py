"""Generation that branches from encoded clips: a clip's key-value cache is filled once, and all turns start from it.

The branches of a clip follow its prefix as they do when they are scored: under a tree mask or split by branch, at
explicit positions. So the prefix is never copied, and a token is sampled with the log-probability that it is scored
with. Every branch draws from a random stream of its own, so that a reply depends on its seed and not on its neighbors
in the batch.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import chain

import torch
from torch import Tensor
from transformers import PreTrainedModel

from savi.models.branch_cells import BranchCells
from savi.models.branch_rows import as_rows
from savi.models.drawing import draw_tokens, uniforms_of
from savi.models.family import Family
from savi.models.fixed_cells import FixedCells
from savi.models.kv_cache import KVCache, require_evaluation_mode
from savi.models.score import output_head
from savi.models.sharing import Continuation
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
    *,
    graphs: bool = False,
) -> list[Continuation]:
    """Continue prompts behind their clips' prefixes until an end token or the limit.

    clips: index into the prefixes, one per branch. banned_ids: int64, tokens never sampled (special tokens, which would
    break the next turn's prompt). Branches that are done leave the batch, and clips with them. graphs: whether steps
    stay the same until all are done, and a GPU replays them (`fixed_cells`).
    Raises RuntimeError for a model in training mode.
    """
    require_evaluation_mode(model)
    limit = sampling.max_new_tokens
    device = prefixes.next_positions.device
    uniforms = uniforms_of(seeds, sampling, device)
    replies = _Replies(len(clips), end_ids)
    head = output_head(model)
    cells = BranchCells(model, family, prefixes, clips, prompts, limit - 1)
    hidden = cells.read_prompts()
    branches = FixedCells(cells) if graphs else as_rows(cells) or cells
    uniforms = uniforms[torch.tensor(branches.alive, device=device)]
    for step in range(limit):
        logits = head(hidden).float()
        tokens = draw_tokens(logits, uniforms[:, step], sampling, banned_ids)
        logps = logits.gather(-1, tokens[:, None])[:, 0] - logits.logsumexp(-1)
        replies.add(branches.alive, tokens, logps)
        replies.read(behind=lag(device))
        if all(replies.finished) or step + 1 == limit:
            break
        done = [replies.finished[branch] for branch in branches.alive]
        if any(done):
            going = branches.drop(done)
            tokens, uniforms = tokens[going], uniforms[going]
        hidden = branches.read_tokens(tokens)
    return replies.continuations()


def lag(device: torch.device) -> int:
    """Steps after which the host learns what a step has drawn.

    One on a GPU: the host launches a step while the device computes the one before, and never waits for a device that
    has nothing to do meanwhile. A reply that has ended is written for one step more, which is cut off.
    """
    return 0 if device.type == "cpu" else 1


class _Replies:
    """What the host knows of the replies. finished: whether each has ended. ids: their tokens, without the end."""

    def __init__(self, count: int, end_ids: frozenset[int]) -> None:
        self.end_ids = end_ids
        self.finished = [False] * count
        self.ids: list[list[int]] = [[] for _ in range(count)]
        self.steps: list[tuple[list[int], Tensor]] = []
        self.coming: deque[tuple[list[int], _OnItsWay]] = deque()

    def add(self, alive: list[int], tokens: Tensor, logps: Tensor) -> None:
        """A step's tokens, int64 (alive,), and their log-probabilities, float32 (alive,), both on the device."""
        self.coming.append((alive, _OnItsWay(tokens)))
        self.steps.append((alive, logps))

    def read(self, behind: int) -> None:
        """Read the tokens of all steps but the last ones. behind: how many these are."""
        while len(self.coming) > behind:
            alive, tokens = self.coming.popleft()
            for branch, token in zip(alive, tokens.arrived(), strict=True):
                if not self.finished[branch]:
                    self.finished[branch] = token in self.end_ids
                    if not self.finished[branch]:
                        self.ids[branch].append(token)

    def continuations(self) -> list[Continuation]:
        self.read(behind=0)
        left = [len(ids) + ended for ids, ended in zip(self.ids, self.finished, strict=True)]
        totals = [0.0] * len(left)
        drawn = torch.cat([logps for _, logps in self.steps]).tolist()
        for branch, logp in zip(chain.from_iterable(alive for alive, _ in self.steps), drawn, strict=True):
            if left[branch]:
                left[branch] -= 1
                totals[branch] += logp
        rows = zip(self.ids, totals, self.finished, strict=True)
        return [Continuation(tuple(ids), logp, ended) for ids, logp, ended in rows]


class _OnItsWay:
    """A copy of a tensor that the host doesn't wait for until it reads it."""

    def __init__(self, tensor: Tensor) -> None:
        self.copy = tensor.to("cpu", non_blocking=True)
        self.event = None
        if tensor.device.type != "cpu":
            self.event = torch.Event(tensor.device)
            self.event.record()

    def arrived(self) -> list[int]:
        if self.event is not None:
            self.event.synchronize()
        numbers: list[int] = self.copy.tolist()
        return numbers
