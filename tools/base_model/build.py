"""An untaught miniature: the genuine Qwen2.5-VL classes with a small configuration, a real processor and tokenizer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import (
    GenerationConfig,
    PreTrainedTokenizerBase,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2Tokenizer,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SIDE = 56
"""Width and height in pixels that the processor gives the model: 2 x 2 visual tokens for two frames."""
ROPE_THETA = 10.0
"""At the usual 1,000,000 the slow frequencies of so short a sequence would hardly turn."""


def build_tokenizer(words: Iterable[str]) -> PreTrainedTokenizerBase:
    """A byte-level BPE tokenizer of Qwen's own class: a token for each of `words`; any text encodes."""
    learner = Tokenizer(BPE())
    learner.pre_tokenizer = Qwen2Tokenizer()._tokenizer.pre_tokenizer
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = BpeTrainer(vocab_size=2000, min_frequency=1, initial_alphabet=alphabet, show_progress=False)
    # At the start of a text, and behind a space; and the chat template's own.
    texts = [*(f"{word} {word}" for word in words), "user", "assistant"]
    learner.train_from_iterator(texts, trainer)
    merges = [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]
    return Qwen2Tokenizer(
        vocab=learner.get_vocab(),
        merges=merges,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token="<|endoftext|>",
        additional_special_tokens=[t for t in SPECIAL_TOKENS if t not in ("<|endoftext|>", "<|im_end|>")],
    )


def build_processor(tokenizer: PreTrainedTokenizerBase) -> Qwen2_5_VLProcessor:
    """The processor. It takes frames as they were sampled, and makes every square clip SIDE pixels wide."""
    size = {"shortest_edge": SIDE * SIDE, "longest_edge": SIDE * SIDE}
    look: dict[str, Any] = {"size": size, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(**look),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(**look, do_sample_frames=False, cap_pixels_per_frame=False),
        chat_template=CHAT_TEMPLATE,
    )


@dataclass(frozen=True)
class Size:
    """Of the language model. The vision tower is the same in all sizes. heads: 32 wide each."""

    heads: int
    layers: int

    @property
    def width(self) -> int:
        return 32 * self.heads


SIZES = {"small": Size(heads=2, layers=2), "medium": Size(heads=4, layers=4), "large": Size(heads=6, layers=6)}


def build_model(
    tokenizer: PreTrainedTokenizerBase, seed: int, size: Size = SIZES["medium"]
) -> Qwen2_5_VLForConditionalGeneration:
    """A model of 1.3 million parameters (small: 0.6, large: 3.2), float32, that knows nothing yet."""
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL_TOKENS}
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": size.width,
        "intermediate_size": size.width * 5 // 2,
        "num_hidden_layers": size.layers,
        "num_attention_heads": size.heads,
        "num_key_value_heads": size.heads,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-6,
        "initializer_range": 0.05,
        "rope_parameters": {"rope_type": "default", "rope_theta": ROPE_THETA, "mrope_section": [8, 4, 4]},
        "bos_token_id": None,
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
    }
    vision = {
        "depth": 2,
        "hidden_size": 96,
        "intermediate_size": 192,
        "num_heads": 4,
        "out_hidden_size": size.width,
        "window_size": SIDE,
        "fullatt_block_indexes": [1],
        "tokens_per_second": 4,
        "initializer_range": 0.05,
    }
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
    )
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        eos_token_id=ids["<|im_end|>"], pad_token_id=ids["<|endoftext|>"], do_sample=False
    )
    return model
