"""Miniatures of Qwen2-VL, Qwen2.5-VL and Qwen3-VL, which share a tokenizer and a chat template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import transformers as hf

from tools.tiny_models.parts import WIDE, WIDTH, decoder_config, qwen_tokenizer, write

VISUAL_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>")

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

PIXELS = 56 * 56


def build_qwen2_vl(folder: Path, seed: int = 0) -> Path:
    """Write a random Qwen2-VL of some 180,000 weights to a folder."""
    tokenizer = qwen_tokenizer(VISUAL_TOKENS)
    config = hf.Qwen2VLConfig(
        text_config=decoder_config(tokenizer, rope_parameters=_rope([2, 3, 3])),
        vision_config={
            "depth": 2,
            "embed_dim": 32,
            "hidden_size": WIDTH,
            "mlp_ratio": 2,
            "num_heads": 2,
            "initializer_range": WIDE,
        },
        tie_word_embeddings=True,
        **visual_ids(tokenizer),
    )
    video = hf.Qwen2VLVideoProcessor(size=_size(PIXELS), do_sample_frames=False, cap_pixels_per_frame=False)
    processor = hf.Qwen2VLProcessor(
        image_processor=hf.Qwen2VLImageProcessor(size=_size(PIXELS)),
        tokenizer=tokenizer,
        video_processor=video,
        chat_template=CHAT_TEMPLATE,
    )
    return write(folder, lambda: hf.Qwen2VLForConditionalGeneration(config), processor, seed)


def build_qwen2_5_vl(folder: Path, seed: int = 0) -> Path:
    """Write a random Qwen2.5-VL of some 180,000 weights to a folder."""
    tokenizer = qwen_tokenizer(VISUAL_TOKENS)
    config = hf.Qwen2_5_VLConfig(
        text_config=decoder_config(tokenizer, rope_parameters=_rope([2, 3, 3])),
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "out_hidden_size": WIDTH,
            "fullatt_block_indexes": [1],
            "window_size": 56,
            "initializer_range": WIDE,
        },
        tie_word_embeddings=True,
        **visual_ids(tokenizer),
    )
    video = hf.Qwen2VLVideoProcessor(size=_size(PIXELS), do_sample_frames=False, cap_pixels_per_frame=False)
    processor = hf.Qwen2_5_VLProcessor(
        image_processor=hf.Qwen2VLImageProcessor(size=_size(PIXELS)),
        tokenizer=tokenizer,
        video_processor=video,
        chat_template=CHAT_TEMPLATE,
    )
    return write(folder, lambda: hf.Qwen2_5_VLForConditionalGeneration(config), processor, seed)


def build_qwen3_vl(folder: Path, seed: int = 0) -> Path:
    """Write a random Qwen3-VL of some 280,000 weights, DeepStack on two of three decoder layers, to a folder."""
    tokenizer = qwen_tokenizer(VISUAL_TOKENS)
    config = hf.Qwen3VLConfig(**_qwen3_vl_config(tokenizer))
    processor = qwen3_vl_processor(tokenizer, CHAT_TEMPLATE)
    return write(folder, lambda: hf.Qwen3VLForConditionalGeneration(config), processor, seed)


def build_qwen3_vl_moe(folder: Path, seed: int = 0) -> Path:
    """Write a random Qwen3-VL with four experts in two of three decoder layers to a folder."""
    tokenizer = qwen_tokenizer(VISUAL_TOKENS)
    experts = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": WIDTH, "mlp_only_layers": [1]}
    config = hf.Qwen3VLMoeConfig(**_qwen3_vl_config(tokenizer, **experts))
    processor = qwen3_vl_processor(tokenizer, CHAT_TEMPLATE)
    return write(folder, lambda: hf.Qwen3VLMoeForConditionalGeneration(config), processor, seed)


def _qwen3_vl_config(tokenizer: hf.PreTrainedTokenizerBase, **differences: Any) -> dict[str, Any]:
    return {
        "text_config": decoder_config(
            tokenizer,
            # What is added behind the last layer would reach no token of text.
            num_hidden_layers=3,
            head_dim=16,
            rope_parameters={**_rope([4, 2, 2]), "mrope_interleaved": True},
            **differences,
        ),
        "vision_config": {
            "depth": 3,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "out_hidden_size": WIDTH,
            "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0, 1],
            "initializer_range": WIDE,
        },
        "tie_word_embeddings": True,
        **visual_ids(tokenizer),
    }


def qwen3_vl_processor(tokenizer: hf.PreTrainedTokenizerBase, chat_template: str) -> hf.ProcessorMixin:
    """The processor of Qwen3-VL and Qwen3.5, whose size is of the whole clip: 32 frames of 64 x 64 pixels."""
    video = hf.Qwen3VLVideoProcessor(size=_size(32 * 64 * 64), do_sample_frames=False, cap_pixels_per_frame=False)
    return hf.Qwen3VLProcessor(
        image_processor=hf.Qwen2VLImageProcessor(size=_size(64 * 64), patch_size=16),
        tokenizer=tokenizer,
        video_processor=video,
        chat_template=chat_template,
    )


def _rope(sections: list[int]) -> dict[str, Any]:
    return {"rope_type": "default", "rope_theta": 1000.0, "mrope_section": sections}


def _size(pixels: int) -> dict[str, int]:
    return {"shortest_edge": pixels, "longest_edge": pixels}


def visual_ids(tokenizer: hf.PreTrainedTokenizerBase) -> dict[str, int]:
    """The ids of the visual tokens, as a configuration names them."""
    names = {
        "image_token_id": "<|image_pad|>",
        "video_token_id": "<|video_pad|>",
        "vision_start_token_id": "<|vision_start|>",
        "vision_end_token_id": "<|vision_end|>",
    }
    return {name: tokenizer.convert_tokens_to_ids(token) for name, token in names.items()}
