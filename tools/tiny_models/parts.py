"""What the miniatures share: a tokenizer that encodes any text, a decoder of two layers, and how they are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import pre_tokenizers
from transformers import PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin, Qwen2Tokenizer

WIDE = 0.15
"""Weights are drawn wide enough that log-probabilities differ visibly between tokens."""

WIDTH = 64
"""Of the decoder. Layers must be multiples of 64 wide to be held in four bits."""


def byte_vocabulary() -> dict[str, int]:
    """One token a byte."""
    return {symbol: index for index, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}


def qwen_tokenizer(visual_tokens: Sequence[str] | Mapping[str, str]) -> PreTrainedTokenizerBase:
    """A Qwen2 tokenizer with one token a byte and no merges.

    visual_tokens: the family's own; by name, where its processor looks for them as attributes of the tokenizer.
    """
    named = visual_tokens if isinstance(visual_tokens, Mapping) else {}
    return Qwen2Tokenizer(
        vocab=byte_vocabulary(),
        merges=[],
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        unk_token="<|endoftext|>",
        extra_special_tokens={"start_token": "<|im_start|>", **named} if named else ["<|im_start|>", *visual_tokens],
    )


def decoder_config(tokenizer: PreTrainedTokenizerBase, **differences: Any) -> dict[str, Any]:
    """A text configuration of two layers, four heads and two key-value heads."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "initializer_range": WIDE,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1000.0},
        **differences,
    }


def write(folder: Path, build: Callable[[], PreTrainedModel], processor: ProcessorMixin, seed: int) -> Path:
    """Draw a model's weights from a seed of its own and write it as `save_pretrained` does."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = build()
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
