"""The vision tower and the language model over batches of clips, as the base model's training runs them.

The maths is the Qwen2.5-VL classes' own (a test holds that). The tower attends over all frames at once, where the class
loops over them without FlashAttention, and the several texts of a clip share one pass over its visual tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb_vision

from tools.base_model.build import SIDE
from tools.base_model.curriculum import Exchange
from tools.base_model.frames import SAMPLED, SECONDS_PER_GRID

GRID = (SAMPLED // 2, SIDE // 14, SIDE // 14)
VISUAL_TOKENS = SAMPLED // 2 * (SIDE // 28) ** 2


def patches(processor: Qwen2_5_VLProcessor, frames: Tensor) -> Tensor:
    """The processor's normalised patches of frames at their final size.

    frames: uint8 (clips, SAMPLED, 3, SIDE, SIDE) -> float32 (clips, patches of a clip, values of a patch).
    """
    video = processor.video_processor
    pixels = video.rescale_and_normalize(frames, True, video.rescale_factor, True, video.image_mean, video.image_std)
    flat: Tensor = video.patchify(pixels, video.patch_size, video.merge_size, video.temporal_patch_size)[0]
    return flat


def see(tower: Any, patches: Tensor) -> Tensor:
    """Visual tokens, float32 (clips, VISUAL_TOKENS, width), of patches (clips, patches, values)."""
    clips = patches.shape[0]
    cells = GRID[1] * GRID[2]
    hidden = tower.patch_embed(patches.flatten(0, 1)).view(clips * GRID[0], cells, -1)
    # Patches come in squares of 2 x 2, which the merger joins; their positions follow that order.
    row, column = torch.meshgrid(torch.arange(GRID[1]), torch.arange(GRID[2]), indexing="ij")
    places = torch.stack([_in_squares(row), _in_squares(column)], dim=-1)
    cos, sin = tower.rotary_pos_emb(hidden, places)
    for block in tower.blocks:
        hidden = hidden + _attend(block.attn, block.norm1(hidden), cos, sin)
        hidden = hidden + block.mlp(block.norm2(hidden))
    tokens: Tensor = tower.merger(hidden.flatten(0, 1))
    return tokens.view(clips, VISUAL_TOKENS, -1)


def _in_squares(grid: Tensor) -> Tensor:
    height, width = grid.shape
    return grid.view(height // 2, 2, width // 2, 2).transpose(1, 2).flatten()


def _attend(attention: Any, hidden: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Full attention within each frame pair. hidden: (frame pairs, patches, width)."""
    pairs, cells, width = hidden.shape
    query, key, value = attention.qkv(hidden).view(pairs, cells, 3, attention.num_heads, -1).unbind(2)
    query, key = apply_rotary_pos_emb_vision(query, key, cos, sin)
    seen = F.scaled_dot_product_attention(query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2))
    projected: Tensor = attention.proj(seen.transpose(1, 2).reshape(pairs, cells, width))
    return projected


@dataclass(frozen=True)
class Page:
    """The texts of a batch of clips, each clip's packed into one row behind its visual tokens.

    ids, positions: int64 (clips, length) and (3, clips, length). visible: bool (clips, 1, length, length).
    targets: int64 (clips, length), the token that each one predicts, -100 where none is to be learned.
    start: where the branches begin, right behind the visual tokens.
    """

    ids: Tensor
    positions: Tensor
    visible: Tensor
    targets: Tensor
    start: int


class Typesetter:
    """Turns exchanges into rows of tokens, with the processor's chat template and the model's own positions."""

    def __init__(self, model: Qwen2_5_VLForConditionalGeneration, processor: Qwen2_5_VLProcessor) -> None:
        self.tokenizer = processor.tokenizer
        video = processor.video_token
        blank = processor.apply_chat_template(
            [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "TEXT"}]}],
            add_generation_prompt=True,
            tokenize=False,
        )
        head, tail = blank.replace(video, video * VISUAL_TOKENS).split("<|vision_end|>")
        self.head = self.tokenizer.encode(head)
        self.before, self.after = ("<|vision_end|>" + tail).split("TEXT")
        self.positions = self._positions(model, len(self.head) + 512)

    def _positions(self, model: Qwen2_5_VLForConditionalGeneration, length: int) -> Tensor:
        """M-RoPE positions of a row, (3, length)."""
        ids = torch.zeros(1, length, dtype=torch.long)
        ids[0, : len(self.head)] = torch.tensor(self.head)
        kinds = torch.where(ids == model.config.video_token_id, 2, 0)
        positions: Tensor = model.model.get_rope_index(
            ids, kinds, video_grid_thw=torch.tensor([GRID]), second_per_grid_ts=[SECONDS_PER_GRID]
        )[0]
        return positions[:, 0]

    def prompt(self, text: str) -> list[int]:
        """Token ids behind the clip, up to where the assistant begins."""
        ids: list[int] = self.tokenizer.encode(self.before + text + self.after)
        return ids

    def set(self, lessons: Sequence[Sequence[Exchange]]) -> Page:
        """One row per clip, one branch per exchange."""
        return self.lay(
            [
                [(self.prompt(e.prompt), self.tokenizer.encode(e.reply + "<|im_end|>")) for e in lesson]
                for lesson in lessons
            ]
        )

    def lay(self, rows: Sequence[Sequence[tuple[list[int], list[int]]]]) -> Page:
        """The same for tokens: each branch is a prompt and its reply, which may be empty."""
        start = len(self.head)
        length = start + max(sum(len(prompt) + len(reply) for prompt, reply in row) for row in rows)
        ids = torch.zeros(len(rows), length, dtype=torch.long)
        ids[:, :start] = torch.tensor(self.head)
        places = torch.arange(start).repeat(len(rows), 1)
        places = F.pad(places, (0, length - start))
        branches = torch.zeros(len(rows), length, dtype=torch.long)
        targets = torch.full_like(ids, -100)
        for index, row in enumerate(rows):
            at = start
            for branch, (prompt, reply) in enumerate(row, start=1):
                here = slice(at, at + len(prompt) + len(reply))
                ids[index, here] = torch.tensor(prompt + reply)
                places[index, here] = torch.arange(start, start + len(prompt) + len(reply))
                branches[index, here] = branch
                targets[index, at + len(prompt) - 1 : here.stop - 1] = torch.tensor(reply)
                at = here.stop
            branches[index, at:] = -1
        related = (branches[:, None, :] == branches[:, :, None]) | (branches[:, None, :] == 0)
        visible = related & torch.ones(length, length, dtype=torch.bool).tril()
        return Page(ids, self.positions[:, places], visible[:, None], targets, start)


def read(model: Qwen2_5_VLForConditionalGeneration, tokens: Tensor, page: Page) -> Tensor:
    """Last hidden states, (clips, length, width), of pages whose clips have these visual tokens."""
    embeds = model.get_input_embeddings()(page.ids)
    embeds = torch.cat([embeds[:, : page.start - VISUAL_TOKENS], tokens, embeds[:, page.start :]], dim=1)
    hidden: Tensor = model.model.language_model(
        inputs_embeds=embeds,
        position_ids=page.positions,
        attention_mask={"full_attention": page.visible},
        use_cache=False,
    ).last_hidden_state
    return hidden
