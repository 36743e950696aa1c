"""Attention in two parts: joined it is the attention over clips and branches together."""

from __future__ import annotations

import pytest
import torch

from savi.models.split_attention import Cells, ClipKeys, split_attention


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("owners", [[0, 0, 1, 1, 2, 2], [0, 2, 2, 2], [1]])
def test_both_parts_joined_are_plain_attention(owners: list[int], dtype: torch.dtype, tolerance: float) -> None:
    """Clips of unlike lengths, some without a branch; grouped queries; prompts of unlike lengths."""
    generator = torch.Generator().manual_seed(0)
    heads, key_heads, width, own, lengths = 4, 2, 16, 7, [9, 12, 5]
    branches = len(owners)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).to(dtype) * 2

    query = noise(branches, heads, 1, width)
    clips = [noise(3, key_heads, 12, width) for _ in range(2)]
    behind = [noise(branches, key_heads, own, width) for _ in range(2)]
    hidden = torch.arange(own) >= torch.tensor([3 + index for index in range(branches)])[:, None]
    mask = torch.zeros(branches, own).masked_fill_(hidden, -torch.inf)[:, None, None]
    cells = Cells.of(owners, lengths, 12)
    output = split_attention(query, *behind, mask, ClipKeys(*clips, cells), scaling=0.3)
    for row, owner in enumerate(owners):
        seen = ~hidden[row]
        keys, values = (
            torch.cat([clip[owner, :, : lengths[owner]], part[row][:, seen]], dim=1).float().repeat_interleave(2, dim=0)
            for clip, part in zip(clips, behind, strict=True)
        )
        weights = (query[row].float() @ keys.transpose(1, 2) * 0.3).softmax(-1)
        torch.testing.assert_close(output[row].float(), (weights @ values).transpose(0, 1), atol=tolerance, rtol=0.02)
