"""Ask this model about a video, with nothing but transformers, peft and av:  python ask.py VIDEO "question"

It reads ask.json, which is next to it: the base, the prompt and how many frames the model was aligned with.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor, BitsAndBytesConfig, GenerationConfig
from transformers.video_utils import VideoMetadata

HERE = Path(__file__).resolve().parent


def load(settings: dict[str, Any]) -> tuple[Any, Any]:
    """Model and processor: a merged model from this folder, or the base with the adapter of this folder."""
    inside = HERE / settings["base"]
    base = str(inside) if inside.is_dir() else settings["base"]
    dtype = getattr(torch, settings["dtype"])
    options: dict[str, Any] = {"dtype": dtype}
    if settings["nf4"]:  # as it was trained
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
            llm_int8_skip_modules=settings["unquantised"],
        )
    model = AutoModelForImageTextToText.from_pretrained(base, **options)
    if torch.cuda.is_available() and not settings["nf4"]:
        model = model.to("cuda")
    if (HERE / "adapter_config.json").exists():
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, HERE)
    return model.eval(), AutoProcessor.from_pretrained(base)


def frames_of(path: str, settings: dict[str, Any]) -> tuple[torch.Tensor, VideoMetadata]:
    """The frame in the middle of each of `frames` equal parts, upright, uint8 (frames, 3, height, width)."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        decoded = container.decode(stream)
        images = [np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90) for frame in decoded]
        fps = float(stream.average_rate or 25)
    part = (len(images) - 1) / settings["frames"]
    chosen = [int(part / 2 + round(part * i)) for i in range(settings["frames"])]
    shown = [images[i] for i in chosen]
    height, width = shown[0].shape[:2]
    if settings["max_pixels"] and height * width > settings["max_pixels"]:
        scale = (settings["max_pixels"] / (height * width)) ** 0.5
        size = max(1, int(width * scale)), max(1, int(height * scale))
        shown = [np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)) for image in shown]
    pixels = torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2)
    duration = len(images) / fps
    return pixels, VideoMetadata(total_num_frames=len(images), fps=fps, duration=duration, frames_indices=chosen)


def main(video: str, question: str) -> None:
    settings = json.loads((HERE / "ask.json").read_text(encoding="utf-8"))
    model, processor = load(settings)
    pixels, metadata = frames_of(video, settings)
    text = settings["prompt"].format(question=question)
    message = {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": text}]}
    # Templates of checkpoints that don't think have no such switch, and don't look at it.
    chat = processor.apply_chat_template([message], add_generation_prompt=True, tokenize=False, enable_thinking=False)
    chat += settings["no_thought"]  # closes the thought of a checkpoint that thinks all the same
    inputs = processor(
        text=[chat], videos=[[pixels]], video_metadata=[metadata], do_sample_frames=False, return_tensors="pt"
    ).to(model.device)
    ends = settings["end_ids"]
    greedy = GenerationConfig(
        max_new_tokens=settings["max_new_tokens"], do_sample=False, eos_token_id=ends, pad_token_id=ends[0]
    )
    with torch.no_grad():
        written = model.generate(**inputs, generation_config=greedy)[0, inputs["input_ids"].shape[1] :]
    print(processor.tokenizer.decode(written, skip_special_tokens=True).strip())


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
