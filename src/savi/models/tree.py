"""The layout of a clip with its branches: one prefix, the prompts behind it, the responses behind each prompt.

Packed into one row, every token sees its ancestors only (the tree mask) and has the position that it would have in
a row of its own, so that one pass over the prefix serves all branches (Wang and Hegde 2024, for text).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad


@dataclass(frozen=True)
class TokenizedRequest:
    """prompt: token ids behind the clip, up to where the assistant starts. responses: ids, the end token last."""

    prompt: tuple[int, ...]
    responses: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Tree:
    """The branches of one clip, flattened. n counts all their tokens, m the response tokens, in request order.

    ids: int64 (n,). offsets: int64 (n,), position behind the prefix. visible: bool (n, n), which branch tokens each
    branch token sees; all of them see the whole prefix. sources: int64 (m,), index of the token that predicts each
    response token. targets: int64 (m,), the response tokens. segments: int64 (m,), response each belongs to. blocks:
    the indices of each prompt, and those of the tokens that are read of its responses.

    A response's last token is a target only: nothing is predicted from it, so it isn't read.
    """

    ids: Tensor
    offsets: Tensor
    visible: Tensor
    sources: Tensor
    targets: Tensor
    segments: Tensor
    blocks: tuple[tuple[range, tuple[range, ...]], ...]

    def __len__(self) -> int:
        return self.ids.shape[0]


def build_tree(requests: Sequence[TokenizedRequest], followed: bool = False) -> Tree:
    """Flatten the requests about one clip, each prompt shared by its responses.

    followed: a prompt that begins with an earlier request's prompt and response branches from that response.
    """
    ids: list[int] = []
    offsets: list[int] = []
    stems: list[tuple[range, ...]] = []
    blocks: list[tuple[range, tuple[range, ...]]] = []
    sources: list[int] = []
    targets: list[int] = []
    segments: list[int] = []
    response_count = 0
    paths: dict[tuple[int, ...], tuple[range, ...]] = {}
    for request in requests:
        known = max((path for path in paths if _begins(request.prompt, path)), key=len, default=())
        stems.append(paths.get(known, ()))
        prompt = range(len(ids), len(ids) + len(request.prompt) - len(known))
        ids.extend(request.prompt[len(known) :])
        offsets.extend(range(len(known), len(request.prompt)))
        responses = []
        for response in request.responses:
            read = range(len(ids), len(ids) + len(response) - 1)
            ids.extend(response[:-1])
            offsets.extend(range(len(request.prompt), len(request.prompt) + len(read)))
            responses.append(read)
            if followed:
                paths[request.prompt + response[:-1]] = (*stems[-1], prompt, read)
            sources.extend([prompt[-1], *read])
            targets.extend(response)
            segments.extend([response_count] * len(response))
            response_count += 1
        blocks.append((prompt, tuple(responses)))
    return Tree(
        ids=torch.tensor(ids, dtype=torch.int64),
        offsets=torch.tensor(offsets, dtype=torch.int64),
        visible=_ancestors(len(ids), blocks, stems),
        sources=torch.tensor(sources),
        targets=torch.tensor(targets),
        segments=torch.tensor(segments),
        blocks=tuple(blocks),
    )


@dataclass(frozen=True)
class PackedTrees:
    """The trees of several clips, each behind its clip's prefix, padded to one shape.

    ids, offsets: int64 (clips, n). mask: bool (clips, 1, n, width + n), what each branch token sees of the prefix,
    padded to `width`, and of the branches. A padded token sees itself: over nothing, softmax is NaN. places: int64
    (clips, width + n), of each token in a row of its own.
    """

    ids: Tensor
    offsets: Tensor
    mask: Tensor
    places: Tensor


def pack_trees(trees: Sequence[Tree], prefix_lengths: Sequence[int], width: int) -> PackedTrees:
    """Lay the trees out behind prefixes of these lengths, padded to a width. Both are padded on the right."""
    longest = max(len(tree) for tree in trees)
    mask = torch.zeros(len(trees), 1, longest, width + longest, dtype=torch.bool)
    mask[..., width:] = torch.eye(longest, dtype=torch.bool)
    for index, (tree, prefix) in enumerate(zip(trees, prefix_lengths, strict=True)):
        mask[index, 0, : len(tree), :prefix] = True
        mask[index, 0, : len(tree), width : width + len(tree)] = tree.visible
    ids = torch.stack([pad(tree.ids, (0, longest - len(tree))) for tree in trees])
    offsets = torch.stack([pad(tree.offsets, (0, longest - len(tree))) for tree in trees])
    places = torch.tensor(prefix_lengths)[:, None] + offsets
    return PackedTrees(ids, offsets, mask, torch.cat([torch.arange(width).expand(len(trees), -1), places], dim=1))


def _begins(prompt: tuple[int, ...], path: tuple[int, ...]) -> bool:
    return len(path) < len(prompt) and prompt[: len(path)] == path


def _ancestors(
    size: int, blocks: Sequence[tuple[range, tuple[range, ...]]], stems: Sequence[tuple[range, ...]]
) -> Tensor:
    visible = torch.zeros(size, size, dtype=torch.bool)
    for (prompt, responses), stem in zip(blocks, stems, strict=True):
        for block in (prompt, *responses):
            rows = slice(block.start, block.stop)
            visible[rows, rows] = torch.ones(len(block), len(block), dtype=torch.bool).tril()
            for before in stem if block is prompt else (*stem, prompt):
                visible[rows, before.start : before.stop] = True
    return visible
