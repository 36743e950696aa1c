"""Generation that branches from encoded clips: a clip's key-value cache is filled once, and all turns start from it.

The branches of a clip follow its prefix as they do when they are scored: in one row, under a tree mask, at explicit
positions. So the prefix is never copied, and a token is sampled with the log-probability that it is scored with. Every
branch draws from a random stream of its own, so that a reply depends on its seed and not on its neighbors in the batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from savi.models.branch_cells import BranchCells
from savi.models.branch_rows import as_rows
from savi.models.drawing import draw_tokens, uniforms_of
from savi.models.family import Family
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
) -> list[Continuation]:
    """Continue prompts behind their clips' prefixes until an end token or the limit.

    clips: index into the prefixes, one per branch. banned_ids: int64, tokens never sampled (special tokens, which would
    break the next turn's prompt). Branches that are done leave the batch, and clips with them.
    Raises RuntimeError for a model in training mode.
    """
    require_evaluation_mode(model)
    limit = sampling.max_new_tokens
    uniforms = uniforms_of(seeds, sampling, prefixes.next_positions.device)
    totals = torch.zeros_like(uniforms[:, 0])
    written: list[list[int]] = [[] for _ in clips]
    finished = [False] * len(clips)
    head = output_head(model)
    cells = BranchCells(model, family, prefixes, clips, prompts, limit - 1)
    hidden = cells.read_prompts()
    branches = as_rows(cells) or cells
    # Of the branches that are alive, in order; `totals` has them by branch once these have ended.
    uniforms = uniforms[branches.alive]
    logps = totals[branches.alive]
    for step in range(limit):
        logits = head(hidden).float()
        tokens = draw_tokens(logits, uniforms[:, step], sampling, banned_ids)
        logps += logits.gather(-1, tokens[:, None])[:, 0] - logits.logsumexp(-1)
        drawn = tokens.tolist()  # the one wait for the device in a step
        done = [token in end_ids for token in drawn]
        for branch, token, is_end in zip(branches.alive_list, drawn, done, strict=True):
            finished[branch] = is_end
            if not is_end:
                written[branch].append(token)
        if all(done) or step + 1 == limit:
            break
        if any(done):
            totals[branches.alive] = logps
            going = branches.drop(done)
            tokens, uniforms, logps = tokens[going], uniforms[going], logps[going]
        hidden = branches.read_tokens(tokens)
    totals[branches.alive] = logps
    rows = zip(written, totals.tolist(), finished, strict=True)
    return [Continuation(tuple(ids), logp, ended) for ids, logp, ended in rows]
