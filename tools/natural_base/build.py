"""The base put together: SmolLM2's language model with small eyes, in the genuine SmolVLM classes."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import (
    AutoTokenizer,
    GenerationConfig,
    PreTrainedTokenizerBase,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    SmolVLMImageProcessor,
    SmolVLMProcessor,
    SmolVLMVideoProcessor,
)

SIDE = 56
"""Width and height in pixels that the processor gives the model."""
SAMPLED = 6
"""Frames of a clip. They separate the four times of appearance, and show both sides of every change."""
FEATURES = 16
"""Visual tokens per frame: four words for each quarter of the picture."""
LANGUAGE = {
    "model_type": "llama",
    "vocab_size": 49152,
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "rope_parameters": {"rope_type": "default", "rope_theta": 100000.0},
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 2,
    "tie_word_embeddings": True,
}
"""SmolLM2-135M's configuration."""


def build_processor(tokenizer: PreTrainedTokenizerBase) -> SmolVLMProcessor:
    """SmolVLM's own processor for frames of SIDE pixels. It takes the frames that it is given."""
    edge = {"longest_edge": SIDE}
    sampling = {"max_frames": SAMPLED, "fps": 8, "video_size": edge}
    return SmolVLMProcessor(
        image_processor=SmolVLMImageProcessor(size=edge, max_image_size=edge, do_image_splitting=False),
        tokenizer=tokenizer,
        video_processor=SmolVLMVideoProcessor(size=edge, max_image_size=edge, video_sampling=sampling),
        image_seq_len=FEATURES,
    )


def build_model(tokenizer: PreTrainedTokenizerBase, seed: int) -> SmolVLMForConditionalGeneration:
    """The model in float32 with 0.5 million random weights of eyes. Its language model is random too."""
    config = SmolVLMConfig(
        text_config=LANGUAGE,
        vision_config={
            "hidden_size": 96,
            "intermediate_size": 192,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "image_size": SIDE,
            "patch_size": 14,
            "initializer_range": 0.05,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=1,
        tie_word_embeddings=True,
        pad_token_id=2,
    )
    torch.manual_seed(seed)
    model = SmolVLMForConditionalGeneration(config)
    model.generation_config = GenerationConfig(eos_token_id=2, pad_token_id=2, do_sample=False)
    return model


def untaught(language: Path, seed: int) -> tuple[SmolVLMForConditionalGeneration, SmolVLMProcessor]:
    """The language weights as they are, behind eyes that see nothing yet. language: the folder of the former."""
    tokenizer = AutoTokenizer.from_pretrained(language)
    model = build_model(tokenizer, seed)
    model.model.text_model.load_state_dict(load_file(language / "model.safetensors"))
    model.tie_weights()
    return model, build_processor(tokenizer)
