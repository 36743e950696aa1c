"""A miniature of SmolVLM2: its SigLIP-like tower with a Llama decoder. The processor brings the chat template."""

from __future__ import annotations

from pathlib import Path

import transformers as hf

from tools.tiny_models.parts import WIDE, byte_vocabulary, decoder_config, write

SIDE = 56
FEATURES = 4
"""Visual tokens per frame: 4 x 4 patches, each 2 x 2 of them joined."""


def build_smolvlm(folder: Path, seed: int = 0) -> Path:
    """Write a random SmolVLM of some 150,000 weights to a folder."""
    tokenizer = gpt2_tokenizer()
    config = hf.SmolVLMConfig(
        text_config={"model_type": "llama", **decoder_config(tokenizer)},
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": 14,
            "initializer_range": WIDE,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    edge = {"longest_edge": SIDE}
    sampling = {"max_frames": 32, "fps": 8, "video_size": edge}
    processor = hf.SmolVLMProcessor(
        image_processor=hf.SmolVLMImageProcessor(size=edge, max_image_size=edge, do_image_splitting=False),
        tokenizer=tokenizer,
        video_processor=hf.SmolVLMVideoProcessor(size=edge, max_image_size=edge, video_sampling=sampling),
        image_seq_len=FEATURES,
    )
    return write(folder, lambda: hf.SmolVLMForConditionalGeneration(config), processor, seed)


def gpt2_tokenizer() -> hf.PreTrainedTokenizerBase:
    """A GPT-2 tokenizer of bytes, and of two newlines in one: it joins those that end a text."""
    vocabulary = byte_vocabulary()
    return hf.GPT2Tokenizer(
        vocab={**vocabulary, "ĊĊ": len(vocabulary)},
        merges=[("Ċ", "Ċ")],
        unk_token="<|endoftext|>",
        bos_token="<|im_start|>",
        eos_token="<end_of_utterance>",
        pad_token="<|im_end|>",
        extra_special_tokens={
            "fake_image_token": "<fake_token_around_image>",
            "image_token": "<image>",
            "global_image_token": "<global-img>",
            "end_of_utterance_token": "<end_of_utterance>",
        },
    )
