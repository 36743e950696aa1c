"""Miniatures of Gemma 4: windows in every other layer, visual tokens that see each other, embeddings for each
layer, keys and values that the last two layers take from the first two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import transformers as hf

from tools.tiny_models.parts import WIDE, WIDTH, decoder_config, write

SPECIAL = {
    "image_token": "<|image|>",
    "audio_token": "<|audio|>",
    "boi_token": "<|image>",
    "eoi_token": "<image|>",
    "boa_token": "<|audio>",
    "eoa_token": "<audio|>",
    "sot_token": "<|turn>",
    "eot_token": "<turn|>",
}

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "<|turn>{{ 'model' if message['role'] == 'assistant' else message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'video' %}\n\n<|video|>\n\n{% elif part['type'] == 'image' %}\n\n<|image|>\n\n"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<turn|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|turn>model\n{% endif %}"
)


def build_gemma4(folder: Path, seed: int = 0) -> Path:
    """Write a random Gemma 4 of some 250,000 weights, without its audio tower, to a folder."""
    tokenizer = gemma_tokenizer()
    processor = hf.Gemma4Processor(
        feature_extractor=hf.Gemma4AudioFeatureExtractor(),
        image_processor=hf.Gemma4ImageProcessor(max_soft_tokens=70),
        tokenizer=tokenizer,
        video_processor=hf.Gemma4VideoProcessor(max_soft_tokens=70, do_sample_frames=False),
        chat_template=CHAT_TEMPLATE,
    )
    text = _text(
        tokenizer,
        global_head_dim=32,
        num_hidden_layers=4,
        layer_types=["sliding_attention", "full_attention"] * 2,
        num_kv_shared_layers=2,
        hidden_size_per_layer_input=64,
        vocab_size_per_layer_input=len(tokenizer),
    )
    vision = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "position_embedding_size": 64,
        "initializer_range": WIDE,
    }
    config = hf.Gemma4Config(text_config=text, vision_config=vision, **_rest(tokenizer))
    return write(folder, lambda: hf.Gemma4ForConditionalGeneration(config), processor, seed)


def build_gemma4_unified(folder: Path, seed: int = 0) -> Path:
    """Write a random Gemma 4 without a vision tower, as the one of 12 billion weights is, to a folder."""
    tokenizer = gemma_tokenizer()
    processor = hf.Gemma4UnifiedProcessor(
        feature_extractor=hf.Gemma4UnifiedAudioFeatureExtractor(),
        image_processor=hf.Gemma4UnifiedImageProcessor(max_soft_tokens=70),
        tokenizer=tokenizer,
        video_processor=hf.Gemma4UnifiedVideoProcessor(max_soft_tokens=70, do_sample_frames=False),
        chat_template=CHAT_TEMPLATE,
    )
    text = _text(tokenizer, layer_types=["sliding_attention", "full_attention"])
    vision = {"mm_embed_dim": WIDTH, "mm_posemb_size": 64, "output_proj_dims": WIDTH, "initializer_range": WIDE}
    config = hf.Gemma4UnifiedConfig(text_config=text, vision_config=vision, **_rest(tokenizer))
    return write(folder, lambda: hf.Gemma4UnifiedForConditionalGeneration(config), processor, seed)


def _text(tokenizer: hf.PreTrainedTokenizerBase, **differences: Any) -> dict[str, Any]:
    text = decoder_config(
        tokenizer,
        head_dim=16,
        sliding_window=8,
        use_bidirectional_attention="vision",
        final_logit_softcapping=30.0,
        **differences,
    )
    del text["rope_parameters"]  # one for each kind of layer, as it has by itself
    return text


def _rest(tokenizer: hf.PreTrainedTokenizerBase) -> dict[str, Any]:
    ids = tokenizer.convert_tokens_to_ids
    return {
        "audio_config": None,
        "image_token_id": ids("<|image|>"),
        "video_token_id": ids("<|video|>"),
        "audio_token_id": ids("<|audio|>"),
        "boi_token_id": ids("<|image>"),
        "eoi_token_id": ids("<image|>"),
        "tie_word_embeddings": True,
    }


def gemma_tokenizer() -> hf.PreTrainedTokenizerBase:
    """A Gemma tokenizer of letters and bytes: a blank is a sign of its own."""
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "\n"]
    pieces += map(chr, range(33, 127))
    return hf.GemmaTokenizer(
        vocab={piece: index for index, piece in enumerate(pieces)},
        eos_token="<turn|>",
        extra_special_tokens=SPECIAL,
    )
