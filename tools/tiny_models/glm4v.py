"""Miniatures of GLM-4.1V, 4.5V and 4.6V: fused gate and up projections, each pair of frames as an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import transformers as hf
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from tools.tiny_models.parts import WIDE, WIDTH, byte_vocabulary, decoder_config, write

SPECIAL = (
    *("<|endoftext|>", "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|image|>", "<|video|>"),
    *("<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>"),
)

CHAT_TEMPLATE = (
    "[gMASK]<sop>{% for message in messages %}<|{{ message['role'] }}|>\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'video' %}<|begin_of_video|><|video|><|end_of_video|>"
    "{% elif part['type'] == 'image' %}<|begin_of_image|><|image|><|end_of_image|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)

SIDE = 56
SIZE = {"shortest_edge": SIDE * SIDE, "longest_edge": 32 * SIDE * SIDE}


EXPERTS = {
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_shared_experts": 1,
    "moe_intermediate_size": WIDTH,
    "first_k_dense_replace": 1,
}


def _processor(tokenizer: hf.PreTrainedTokenizerBase) -> hf.Glm4vProcessor:
    return hf.Glm4vProcessor(
        image_processor=hf.Glm4vImageProcessor(size=SIZE),
        tokenizer=tokenizer,
        video_processor=hf.Glm4vVideoProcessor(size=SIZE, do_sample_frames=False),
        chat_template=CHAT_TEMPLATE,
    )


def build_glm4v(folder: Path, seed: int = 0) -> Path:
    """Write a random GLM-4.1V of some 200,000 weights to a folder."""
    tokenizer = glm_tokenizer()
    config = hf.Glm4vConfig(**_config(tokenizer))
    return write(folder, lambda: hf.Glm4vForConditionalGeneration(config), _processor(tokenizer), seed)


def build_glm4v_moe(folder: Path, seed: int = 0) -> Path:
    """Write a random GLM-4.5V with four experts in the second of two layers to a folder."""
    tokenizer = glm_tokenizer()
    config = hf.Glm4vMoeConfig(**_config(tokenizer, head_dim=16, attention_bias=True, **EXPERTS))
    return write(folder, lambda: hf.Glm4vMoeForConditionalGeneration(config), _processor(tokenizer), seed)


def build_glm46v(folder: Path, seed: int = 0) -> Path:
    """Write a random GLM-4.6V-Flash of some 200,000 weights to a folder."""
    tokenizer = glm_tokenizer()
    config = hf.Glm46VConfig(**_config(tokenizer))
    processor = hf.Glm46VProcessor(
        image_processor=hf.Glm46VImageProcessor(size=SIZE),
        tokenizer=tokenizer,
        video_processor=hf.Glm46VVideoProcessor(size=SIZE, do_sample_frames=False),
        chat_template=CHAT_TEMPLATE,
    )
    return write(folder, lambda: hf.Glm46VForConditionalGeneration(config), processor, seed)


def _config(tokenizer: hf.PreTrainedTokenizerBase, **differences: Any) -> dict[str, Any]:
    ids = tokenizer.convert_tokens_to_ids
    rope = {"rope_type": "default", "rope_theta": 1000.0, "partial_rotary_factor": 0.5, "mrope_section": [2, 1, 1]}
    return {
        "text_config": decoder_config(tokenizer, rope_parameters=rope, **differences),
        "vision_config": {
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "image_size": SIDE,
            "out_hidden_size": WIDTH,
            "initializer_range": WIDE,
        },
        "image_token_id": ids("<|image|>"),
        "video_token_id": ids("<|video|>"),
        "image_start_token_id": ids("<|begin_of_image|>"),
        "image_end_token_id": ids("<|end_of_image|>"),
        "video_start_token_id": ids("<|begin_of_video|>"),
        "video_end_token_id": ids("<|end_of_video|>"),
        "tie_word_embeddings": True,
    }


def glm_tokenizer() -> hf.PreTrainedTokenizerBase:
    """A tokenizer with one token a byte, from a tokenizer.json alone, as GLM's is."""
    backend = Tokenizer(models.BPE(vocab=byte_vocabulary(), merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL[1:]),
    )
