"""Miniatures of LLaVA-OneVision (SigLIP and Qwen2) and LLaVA-NeXT-Video (CLIP and Llama)."""

from __future__ import annotations

from pathlib import Path

import transformers as hf

from tools.tiny_models.parts import WIDE, decoder_config, qwen_tokenizer, write

ONEVISION_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + ' ' }}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>' }}{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'video') %}{{ '<video>' }}{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ '\n' + part['text'] }}{% endfor %}"
    "{{ '<|im_end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

VICUNA_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] != 'system' %}{{ message['role'].upper() + ': ' }}{% endif %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'video') %}{{ '<video>\n' }}{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] + ' ' }}{% endfor %}"
    "{% endfor %}{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)

SIDE = 56
PATCH = 14


def build_llava_onevision(folder: Path, seed: int = 0) -> Path:
    """Write a random LLaVA-OneVision of some 150,000 weights to a folder."""
    tokenizer = qwen_tokenizer(("<image>", "<video>"))
    config = hf.LlavaOnevisionConfig(
        text_config={"model_type": "qwen2", **decoder_config(tokenizer), "tie_word_embeddings": True},
        vision_config={"model_type": "siglip_vision_model", "vision_use_head": False, **_vision()},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=[[SIDE, SIDE]],
        tie_word_embeddings=True,
    )
    size = {"height": SIDE, "width": SIDE}
    processor = hf.LlavaOnevisionProcessor(
        image_processor=hf.LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=[[SIDE, SIDE]]),
        tokenizer=tokenizer,
        video_processor=hf.LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=(SIDE // PATCH) ** 2,
        vision_feature_select_strategy="full",
        chat_template=ONEVISION_TEMPLATE,
    )
    return write(folder, lambda: hf.LlavaOnevisionForConditionalGeneration(config), processor, seed)


def build_llava_next_video(folder: Path, seed: int = 0) -> Path:
    """Write a random LLaVA-NeXT-Video of some 150,000 weights to a folder."""
    tokenizer = llama_tokenizer()
    config = hf.LlavaNextVideoConfig(
        text_config={"model_type": "llama", **decoder_config(tokenizer)},
        vision_config={"model_type": "clip_vision_model", "projection_dim": 32, **_vision()},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=[[SIDE, SIDE]],
    )
    size = {"shortest_edge": SIDE}
    crop = {"height": SIDE, "width": SIDE}
    processor = hf.LlavaNextVideoProcessor(
        image_processor=hf.LlavaNextImageProcessor(size=size, crop_size=crop, image_grid_pinpoints=[[SIDE, SIDE]]),
        tokenizer=tokenizer,
        video_processor=hf.LlavaNextVideoVideoProcessor(size=size, crop_size=crop),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=VICUNA_TEMPLATE,
    )
    return write(folder, lambda: hf.LlavaNextVideoForConditionalGeneration(config), processor, seed)


def llama_tokenizer() -> hf.PreTrainedTokenizerBase:
    """A Llama tokenizer of bytes and letters: like SentencePiece, it puts a space before the start of a text."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *map(chr, range(33, 127))]
    return hf.LlamaTokenizer(
        vocab={piece: index for index, piece in enumerate(pieces)},
        merges=[],
        pad_token="<unk>",
        additional_special_tokens=["<image>", "<video>"],
    )


def _vision() -> dict[str, float]:
    return {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "patch_size": PATCH,
        "initializer_range": WIDE,
        "initializer_factor": 4.0,
    }
