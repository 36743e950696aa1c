"""A miniature of InternVL3: its vision tower with a Qwen2 decoder."""

from __future__ import annotations

from pathlib import Path

import transformers as hf

from tools.tiny_models.parts import WIDE, decoder_config, qwen_tokenizer, write

CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'video' %}{{ '<video>\n' }}{% elif part['type'] == 'image' %}{{ '<IMG_CONTEXT>\n' }}"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

SIDE = 56
FEATURES = 4
"""Visual tokens per frame: 4 x 4 patches, each 2 x 2 of them joined."""


def build_internvl(folder: Path, seed: int = 0) -> Path:
    """Write a random InternVL of some 150,000 weights to a folder."""
    tokenizer = qwen_tokenizer(
        {
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        },
    )
    config = hf.InternVLConfig(
        text_config={"model_type": "qwen2", **decoder_config(tokenizer), "tie_word_embeddings": True},
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": [SIDE, SIDE],
            "initializer_range": WIDE,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=FEATURES,
        tie_word_embeddings=True,
    )
    size = {"height": SIDE, "width": SIDE}
    processor = hf.InternVLProcessor(
        image_processor=hf.GotOcr2ImageProcessor(size=size, crop_to_patches=False),
        tokenizer=tokenizer,
        video_processor=hf.InternVLVideoProcessor(size=size, do_sample_frames=False),
        image_seq_length=FEATURES,
        chat_template=CHAT_TEMPLATE,
    )
    return write(folder, lambda: hf.InternVLForConditionalGeneration(config), processor, seed)
