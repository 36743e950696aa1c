"""Log-probabilities of responses, two ways: packed (what savi trains with) and plain (the oracle of its tests)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from savi.models.family import ClipPrefix, Family
from savi.models.tree import TokenisedQuestion, Tree, build_tree
from savi.objective.logps import segment_logps
from savi.types import ResponseScores


def score_packed(
    model: nn.Module,
    family: Family,
    prefixes: Sequence[ClipPrefix],
    questions: Sequence[Sequence[TokenisedQuestion]],
) -> ResponseScores:
    """Score every response of every clip in one pass, a row a clip: prefix, then the tree of its branches.

    There is no cache in it, so it is exact under gradient checkpointing too. Logits are computed at response
    positions only. The responses come in the order of the clips, their questions, and the questions' responses.
    """
    trees = [build_tree(clip_questions) for clip_questions in questions]
    width = max(len(prefix) + len(tree) for prefix, tree in zip(prefixes, trees, strict=True))
    embedding = _embedding(model)
    rows = [_row(prefix, tree, embedding, width) for prefix, tree in zip(prefixes, trees, strict=True)]
    embeds, positions, mask = (torch.stack(parts) for parts in zip(*rows, strict=True))
    hidden = family.language_model(model)(
        inputs_embeds=embeds,
        attention_mask=mask.unsqueeze(1),
        position_ids=position_ids(positions),
        use_cache=False,
        **family.decoder_extras(prefixes, width),
    ).last_hidden_state

    row = torch.cat([torch.full_like(tree.sources, index) for index, tree in enumerate(trees)])
    column = torch.cat([tree.sources + len(prefix) for prefix, tree in zip(prefixes, trees, strict=True)])
    counts = [sum(len(question.responses) for question in clip) for clip in questions]
    first = torch.tensor([0, *counts]).cumsum(0)
    segments = torch.cat([tree.segments + first[index] for index, tree in enumerate(trees)])
    targets = torch.cat([tree.targets for tree in trees])
    device = hidden.device
    logps = segment_logps(
        hidden[row.to(device), column.to(device)],
        model.get_output_embeddings(),  # type: ignore[operator]
        targets.to(device),
        segments.to(device),
        sum(counts),
    )
    return ResponseScores(logps, torch.bincount(segments, minlength=sum(counts)).to(device))


def score_plain(
    model: nn.Module, family: Family, inputs: Sequence[dict[str, Tensor]], response_lengths: Sequence[int]
) -> ResponseScores:
    """Score each response in a row of its own, through the model's public forward and nothing of ours.

    inputs: processor outputs of prompt and response in one row. response_lengths: how many of its last tokens are
    the response.
    """
    sums = []
    for row, length in zip(inputs, response_lengths, strict=True):
        logits = model(**row, use_cache=False).logits[0, -length - 1 : -1]
        targets = row["input_ids"][0, -length:]
        sums.append(logits.float().log_softmax(-1).gather(-1, targets[:, None]).sum())
    return ResponseScores(torch.stack(sums), torch.tensor(response_lengths))


def position_ids(positions: Tensor) -> Tensor:
    """(batch, axes, length) to what a decoder takes: (axes, batch, length) for M-RoPE, (batch, length) for one."""
    return positions[:, 0] if positions.shape[1] == 1 else positions.transpose(0, 1)


def _embedding(model: nn.Module) -> nn.Module:
    return model.get_input_embeddings()  # type: ignore[operator]


def _row(prefix: ClipPrefix, tree: Tree, embedding: nn.Module, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Embeddings (width, d), positions (axes, width) and mask (width, width) of one clip, padded on the right."""
    device = prefix.embeds.device
    before, branches = len(prefix), len(tree)
    spare = width - before - branches
    embeds = torch.cat([prefix.embeds, embedding(tree.ids.to(device))])
    positions = torch.cat(
        [
            prefix.positions,
            (tree.offsets.to(device) + prefix.next_position).expand(prefix.positions.shape[0], -1),
        ],
        dim=1,
    )
    mask = torch.zeros(width, width, dtype=torch.bool, device=device)
    mask[:before, :before] = torch.ones(before, before, dtype=torch.bool, device=device).tril()
    mask[before : before + branches, :before] = True
    mask[before : before + branches, before : before + branches] = tree.visible.to(device)
    # A padded row that saw nothing would be a softmax over nothing: NaN, and NaN gradients.
    mask[before + branches :, 0] = True
    return pad(embeds, (0, 0, 0, spare)), pad(positions, (0, spare)), mask
