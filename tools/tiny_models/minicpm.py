"""A miniature of MiniCPM-V 4.6: its SigLIP-like tower with the decoder of Qwen3.5."""

from __future__ import annotations

from pathlib import Path

import transformers as hf

from tools.tiny_models.parts import WIDE, qwen_tokenizer, write
from tools.tiny_models.qwen3_5 import delta_rule_decoder, remembering

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'video' %}<|video_pad|>\n{% elif part['type'] == 'image' %}<|image_pad|>\n"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

SIDE = 112


def build_minicpmv4_6(folder: Path, seed: int = 0) -> Path:
    """Write a random MiniCPM-V 4.6 of some 300,000 weights to a folder."""
    tokenizer = qwen_tokenizer(
        {
            "image_token": "<|image_pad|>",
            "video_token": "<|video_pad|>",
            "image_start_token": "<image>",
            "image_end_token": "</image>",
            "slice_start_token": "<slice>",
            "slice_end_token": "</slice>",
            "image_id_start_token": "<image_id>",
            "image_id_end_token": "</image_id>",
        }
    )
    config = hf.MiniCPMV4_6Config(
        text_config={"model_type": "qwen3_5_text", **delta_rule_decoder(tokenizer), "tie_word_embeddings": True},
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": 14,
            "initializer_range": WIDE,
        },
        insert_layer_id=0,
        image_size=SIDE,
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        tie_word_embeddings=True,
    )
    scale = {"scale_resolution": SIDE, "slice_mode": False}
    processor = hf.MiniCPMV4_6Processor(
        image_processor=hf.MiniCPMV4_6ImageProcessor(**scale),
        video_processor=hf.MiniCPMV4_6VideoProcessor(**scale, do_sample_frames=False),
        tokenizer=tokenizer,
        chat_template=CHAT_TEMPLATE,
    )
    return write(folder, lambda: remembering(hf.MiniCPMV4_6ForConditionalGeneration(config)), processor, seed)
