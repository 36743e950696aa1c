"""Log-probabilities of packed responses: one row per clip, its prefix once, then the tree of its branches."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import PreTrainedModel

from savi.inference import ResponseScores
from savi.models.family import ClipPrefix, Family, token_inputs
from savi.models.last_layer import want
from savi.models.levels import tree_levels
from savi.models.tree import TokenizedRequest, build_tree, pack_trees
from savi.models.windows import masks, recurrent_kinds
from savi.objective.logps import segment_logps


def score_packed(
    model: PreTrainedModel,
    family: Family,
    prefixes: Sequence[ClipPrefix],
    requests: Sequence[Sequence[TokenizedRequest]],
) -> ResponseScores:
    """Score every response of every clip in one pass, one row per clip: its prefix, then the tree of its branches.

    There is no cache in it, so it is exact under gradient checkpointing too. Logits are computed at response
    positions only. The responses come in the order of the clips, their requests, and the requests' responses.
    """
    decoder = family.language_model(model)
    recurrent = bool(recurrent_kinds(decoder))
    # A recurrent layer would need the state behind each response that something follows.
    trees = [build_tree(clip_requests, followed=not recurrent) for clip_requests in requests]
    embeds, positions = pad_prefixes(prefixes)
    device, width = embeds.device, embeds.shape[1]
    lengths = [len(prefix) for prefix in prefixes]
    packed = pack_trees(trees, lengths, width)
    start = torch.tensor([prefix.next_position for prefix in prefixes])[:, None]
    behind = (start + packed.offsets)[:, None].expand(-1, positions.shape[1], -1).to(device)
    ids = packed.ids.to(device)
    # PEFT has the frozen embeddings ask for gradients, which would be taken of all inputs of the first layer.
    branches = model.get_input_embeddings()(ids).detach()
    levels = tree_levels(trees, lengths, width, device) if recurrent else None
    seen = masks(decoder, packed.mask.to(device), packed.places.to(device), levels, prefixes)
    row = torch.cat([torch.full_like(tree.sources, index) for index, tree in enumerate(trees)])
    source = row * (width + branches.shape[1]) + width + torch.cat([tree.sources for tree in trees])
    want(seen, source.unique().to(device))
    hidden = decoder(
        inputs_embeds=torch.cat([embeds, branches], dim=1),
        attention_mask=seen,
        position_ids=position_ids(torch.cat([positions, behind], dim=2)),
        use_cache=False,
        **family.decoder_extras(prefixes, width + branches.shape[1]),
        **token_inputs(decoder, lambda: torch.cat([pad_ids(prefixes), ids], dim=1)),
    ).last_hidden_state

    counts = [sum(len(request.responses) for request in clip) for clip in requests]
    first = torch.tensor([0, *counts]).cumsum(0)
    segments = torch.cat([tree.segments + first[index] for index, tree in enumerate(trees)])
    targets = torch.cat([tree.targets for tree in trees])
    logps = segment_logps(
        hidden.flatten(0, 1)[source.to(device)],
        output_head(model),
        targets.to(device),
        segments.to(device),
        sum(counts),
    )
    return ResponseScores(logps, torch.bincount(segments, minlength=sum(counts)).to(device))


def output_head(model: PreTrainedModel) -> Callable[[Tensor], Tensor]:
    """Hidden states (..., width) to logits (..., vocabulary), bounded where the configuration says so (Gemma)."""
    head: nn.Module = model.get_output_embeddings()
    cap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    return head if cap is None else lambda hidden: (head(hidden) / cap).tanh() * cap


def position_ids(positions: Tensor) -> Tensor:
    """(batch, axes, length) to what a decoder takes: (axes, batch, length) for M-RoPE, (batch, length) for one."""
    return positions[:, 0] if positions.shape[1] == 1 else positions.transpose(0, 1)


def pad_prefixes(prefixes: Sequence[ClipPrefix]) -> tuple[Tensor, Tensor]:
    """Embeddings (clips, width, d) and positions (clips, axes, width), padded on the right."""
    width = max(len(prefix) for prefix in prefixes)
    embeds = torch.stack([pad(prefix.embeds, (0, 0, 0, width - len(prefix))) for prefix in prefixes])
    positions = torch.stack([pad(prefix.positions, (0, width - len(prefix))) for prefix in prefixes])
    return embeds, positions


def pad_ids(prefixes: Sequence[ClipPrefix]) -> Tensor:
    """ClipPrefix.ids, int64 (clips, width), padded on the right."""
    width = max(len(prefix) for prefix in prefixes)
    return torch.stack([pad(prefix.ids, (0, width - len(prefix))) for prefix in prefixes if prefix.ids is not None])
