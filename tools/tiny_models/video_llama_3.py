"""A miniature of VideoLLaMA3: its vision tower of any resolution with a Qwen2 decoder."""

from __future__ import annotations

from pathlib import Path

import transformers as hf

from tools.tiny_models.parts import WIDE, decoder_config, qwen_tokenizer, write

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'video' %}<|video_pad|>\n{% elif part['type'] == 'image' %}<|image_pad|>\n"
    "{% elif 'text' in part %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

PIXELS = 56 * 56


def build_video_llama_3(folder: Path, seed: int = 0) -> Path:
    """Write a random VideoLLaMA3 of some 150,000 weights to a folder."""
    tokenizer = qwen_tokenizer(("<|image_pad|>", "<|video_pad|>"))
    config = hf.VideoLlama3Config(
        text_config={"model_type": "qwen2", **decoder_config(tokenizer), "tie_word_embeddings": True},
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "patch_size": 14,
            "initializer_range": WIDE,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        tie_word_embeddings=True,
    )
    processor = hf.VideoLlama3Processor(
        image_processor=hf.VideoLlama3ImageProcessor(size={"shortest_edge": PIXELS, "longest_edge": PIXELS}),
        tokenizer=tokenizer,
        # The longest edge is of the whole clip of 32 frames, the shortest of one frame.
        video_processor=hf.VideoLlama3VideoProcessor(size={"shortest_edge": PIXELS, "longest_edge": 32 * PIXELS}),
        chat_template=CHAT_TEMPLATE,
    )
    return write(folder, lambda: hf.VideoLlama3ForConditionalGeneration(config), processor, seed)
