"""Miniatures of Qwen3.5, dense and a mixture of experts: gated delta layers around one of full attention."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers as hf

from tools.tiny_models.parts import WIDE, WIDTH, decoder_config, qwen_tokenizer, write
from tools.tiny_models.qwen import CHAT_TEMPLATE, VISUAL_TOKENS, qwen3_vl_processor, visual_ids

EXPERTS = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": WIDTH,
    "shared_expert_intermediate_size": WIDTH,
}


def build_qwen3_5(folder: Path, seed: int = 0) -> Path:
    """Write a random Qwen3.5 of some 280,000 weights to a folder."""
    tokenizer = qwen_tokenizer(VISUAL_TOKENS)
    config = hf.Qwen3_5Config(text_config=delta_rule_decoder(tokenizer), vision_config=_vision(), **_rest(tokenizer))
    processor = qwen3_vl_processor(tokenizer, CHAT_TEMPLATE)
    return write(folder, lambda: remembering(hf.Qwen3_5ForConditionalGeneration(config)), processor, seed)


def build_qwen3_5_moe(folder: Path, seed: int = 0) -> Path:
    """Write a random Qwen3.5 with four experts a layer, two of which read each token, to a folder."""
    tokenizer = qwen_tokenizer(VISUAL_TOKENS)
    text = {**delta_rule_decoder(tokenizer), **EXPERTS}
    config = hf.Qwen3_5MoeConfig(text_config=text, vision_config=_vision(), **_rest(tokenizer))
    processor = qwen3_vl_processor(tokenizer, CHAT_TEMPLATE)
    return write(folder, lambda: remembering(hf.Qwen3_5MoeForConditionalGeneration(config)), processor, seed)


def delta_rule_decoder(tokenizer: hf.PreTrainedTokenizerBase) -> dict[str, Any]:
    """Its text configuration: a layer of full attention between two with the gated delta rule."""
    return decoder_config(
        tokenizer,
        num_hidden_layers=3,
        layer_types=["linear_attention", "full_attention", "linear_attention"],
        head_dim=16,
        linear_num_key_heads=2,
        linear_num_value_heads=4,
        linear_key_head_dim=16,
        linear_value_head_dim=16,
        rope_parameters={
            "rope_type": "default",
            "rope_theta": 1000.0,
            "partial_rotary_factor": 0.5,
            "mrope_section": [2, 1, 1],
            "mrope_interleaved": True,
        },
    )


def _vision() -> dict[str, Any]:
    return {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_heads": 2,
        "out_hidden_size": WIDTH,
        "num_position_embeddings": 16,
        "initializer_range": WIDE,
    }


def _rest(tokenizer: hf.PreTrainedTokenizerBase) -> dict[str, Any]:
    return {"tie_word_embeddings": True, **visual_ids(tokenizer)}


def remembering(model: hf.PreTrainedModel) -> hf.PreTrainedModel:
    """Let the states last: as they are drawn, many forget a clip within a token."""
    for name, parameter in model.named_parameters():
        if name.endswith("A_log"):
            parameter.data = torch.linspace(0.005, 0.5, parameter.numel()).log()
    return model
