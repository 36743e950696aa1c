"""What is timed: a random Qwen2.5-VL of a given shape, a clip of noise, and questions of fixed lengths about it."""

from __future__ import annotations

import random
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import transformers as hf

from savi.inference import ScoreRequest
from savi.models.adapters import LoraSettings, attach_lora
from savi.models.load import BaseSettings, load_base
from savi.models.video_lm import VideoLM
from savi.types import Clip, Frames
from tools.tiny_models.parts import qwen_tokenizer
from tools.tiny_models.qwen import CHAT_TEMPLATE, VISUAL_TOKENS

FRAMES = 32
QUESTIONS = 6
PROMPT = 24
RESPONSE = 24
"""Characters, which are tokens here, without the marks of the chat: a sentence each."""


@dataclass(frozen=True)
class Shape:
    """A decoder and a vision tower, in their proportion in Qwen2.5-VL-7B.

    "deep" has the layers of the 7B model. To be as quick as "small" it is narrow. Its MLP is wide for its width, and so
    attention has the same share of its operations. "narrow" is "deep" with four layers, to show what their number does.
    """

    layers: int
    width: int
    heads: int
    key_value_heads: int
    ffn: int
    vocabulary: int
    vision_layers: int
    vision_width: int
    vision_heads: int
    vision_ffn: int
    dtype: Literal["float32", "bfloat16"] = "float32"
    nf4: bool = False

    @property
    def linear_weights(self) -> int:
        """Weights of the decoder's linear layers: N of the formula."""
        key_value = self.width // self.heads * self.key_value_heads
        return self.layers * (2 * self.width**2 + 2 * self.width * key_value + 3 * self.width * self.ffn)

    def attention_share(self, tokens: int) -> float:
        """Operations of the attention in a causal row of so many tokens, as a share of those of the linear layers."""
        return self.layers * self.width * tokens / self.linear_weights


SHAPES = {
    "toy": Shape(2, 64, 4, 2, 128, 512, 2, 32, 2, 64),
    "small": Shape(4, 512, 4, 1, 1536, 2048, 2, 192, 3, 576),
    "narrow": Shape(4, 64, 2, 1, 2048, 2112, 2, 64, 1, 320),
    "deep": Shape(28, 64, 2, 1, 2048, 14848, 2, 192, 3, 704),
    "7b": Shape(28, 3584, 28, 4, 18944, 152064, 32, 1280, 16, 3420, dtype="bfloat16", nf4=True),
}


def build(shape: Shape, folder: Path, device: str) -> Path:
    """Write the model, random, to a folder as `save_pretrained` does. Its weights are drawn on the device."""
    tokenizer = qwen_tokenizer(VISUAL_TOKENS)
    ids = tokenizer.convert_tokens_to_ids
    half = shape.width // shape.heads // 2
    config = hf.Qwen2_5_VLConfig(
        text_config={
            "vocab_size": shape.vocabulary,
            "hidden_size": shape.width,
            "intermediate_size": shape.ffn,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.key_value_heads,
            "max_position_embeddings": 32768,
            "initializer_range": 0.05,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e6,
                "mrope_section": [half // 4, (half - half // 4) // 2, (half - half // 4 + 1) // 2],
            },
        },
        vision_config={
            "depth": shape.vision_layers,
            "hidden_size": shape.vision_width,
            "intermediate_size": shape.vision_ffn,
            "num_heads": shape.vision_heads,
            "out_hidden_size": shape.width,
            "fullatt_block_indexes": list(range(7, shape.vision_layers, 8)) or [shape.vision_layers - 1],
            "initializer_range": 0.05,
        },
        image_token_id=ids("<|image_pad|>"),
        video_token_id=ids("<|video_pad|>"),
        vision_start_token_id=ids("<|vision_start|>"),
        vision_end_token_id=ids("<|vision_end|>"),
        tie_word_embeddings=False,
    )
    processor = hf.Qwen2_5_VLProcessor(
        image_processor=hf.Qwen2VLImageProcessor(),
        tokenizer=tokenizer,
        video_processor=hf.Qwen2VLVideoProcessor(do_sample_frames=False, cap_pixels_per_frame=False),
        chat_template=CHAT_TEMPLATE,
    )
    torch.manual_seed(0)
    torch.set_default_dtype(getattr(torch, shape.dtype))
    with torch.device(device):
        model = hf.Qwen2_5_VLForConditionalGeneration(config)
    torch.set_default_dtype(torch.float32)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def side_of(visual_tokens: int) -> int:
    """Pixels of a square frame: two frames share a visual token, and each is 28 x 28 pixels."""
    tokens = visual_tokens // (FRAMES // 2)
    return 28 * round(tokens**0.5)


def settings(shape: Shape, folder: Path, checkpointing: bool) -> BaseSettings:
    return BaseSettings(str(folder), shape.dtype, shape.nf4, gradient_checkpointing=checkpointing)


def load(
    shape: Shape, folder: Path, visual_tokens: int, checkpointing: bool, device: str, keep: bool = True
) -> VideoLM:
    """The model as savi trains it, with a fresh adapter, and a processor that makes so many tokens of a clip."""
    base = load_base(settings(shape, folder, checkpointing))
    base.model.to(device)
    pixels = side_of(visual_tokens) ** 2
    for processor in (base.processor.video_processor, base.processor.image_processor):
        processor.size = type(processor.size)(shortest_edge=pixels, longest_edge=pixels)
    torch.manual_seed(1)
    peft_model = attach_lora(base.model, base.family, LoraSettings())
    peft_model.train(checkpointing)
    return VideoLM(base, peft_model, prefix_mib=512.0 if keep else 0.0)


def clip(visual_tokens: int, seed: int = 0) -> tuple[Clip, Frames]:
    """A clip of noise, in frames of the size that the processor would scale them to."""
    side = side_of(visual_tokens)
    pixels = torch.randint(0, 256, (FRAMES, side, side, 3), generator=torch.Generator().manual_seed(seed))
    seconds = tuple(index / 4 for index in range(FRAMES))
    frames = Frames(pixels.to(torch.uint8), seconds, tuple(range(FRAMES)), fps=4.0, duration=FRAMES / 4)
    return Clip(f"noise {seed}", Path(f"noise_{seed}.mp4")), frames


def letters(length: int, *seed: Any) -> str:
    return "".join(random.Random(repr(seed)).choices(string.ascii_lowercase, k=length))


def questions(seed: int, response: int = RESPONSE, prompt: int = PROMPT, count: int = QUESTIONS) -> list[ScoreRequest]:
    """Questions about one clip, each with two responses of unlike lengths, `response` in the mean."""
    return [
        ScoreRequest(
            0,
            letters(prompt, seed, index, "prompt"),
            (
                letters(response - index % QUESTIONS, seed, index, "chosen"),
                letters(response + index % QUESTIONS, seed, index, "rejected"),
            ),
        )
        for index in range(count)
    ]
