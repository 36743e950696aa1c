"""A step of a random Qwen3.5, its clip shared through states, next to the same step with a row for each response.

`python -m tools.bench.states WAY TOKENS CHECKPOINTING DEVICE FOLDER` prints a step's peak of memory, in MiB above the
resident model.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
import transformers as hf

from savi.models.adapters import LoraSettings, attach_lora
from savi.models.load import BaseSettings, load_base
from savi.models.video_lm import VideoLM
from savi.models.ways import Way
from savi.types import Clip, Frames
from tools.bench import step
from tools.bench.meters import Stopwatch, Watermark
from tools.bench.workload import FRAMES, QUESTIONS, clip, questions
from tools.tiny_models.parts import qwen_tokenizer, write
from tools.tiny_models.qwen import CHAT_TEMPLATE, VISUAL_TOKENS, qwen3_vl_processor, visual_ids
from tools.tiny_models.qwen3_5 import remembering

LR = 1e-3
WIDTH = 512
SIDE = 32
"""Pixels of a visual token's side; it shows two frames."""


def build(folder: Path) -> Path:
    """Write a random Qwen3.5 with the 9B model's proportions, an eighth as wide, four layers, one of full attention."""
    tokenizer = qwen_tokenizer(VISUAL_TOKENS)
    config = hf.Qwen3_5Config(
        text_config={
            "vocab_size": 2048,
            "hidden_size": WIDTH,
            "intermediate_size": 3 * WIDTH,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 1,
            "head_dim": WIDTH // 4,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": 4,
            "linear_key_head_dim": WIDTH // 4,
            "linear_value_head_dim": WIDTH // 4,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1e7,
                "partial_rotary_factor": 0.25,
                "mrope_section": [6, 5, 5],
                "mrope_interleaved": True,
            },
        },
        vision_config={
            "depth": 2,
            "hidden_size": 192,
            "intermediate_size": 576,
            "num_heads": 3,
            "out_hidden_size": WIDTH,
            "num_position_embeddings": 256,
        },
        tie_word_embeddings=False,
        **visual_ids(tokenizer),
    )
    processor = qwen3_vl_processor(tokenizer, CHAT_TEMPLATE)
    return write(folder, lambda: remembering(hf.Qwen3_5ForConditionalGeneration(config)), processor, seed=0)


def compare(folder: Path, tokens: int, checkpointing: bool, repeats: int, device: str) -> dict[str, Any]:
    """Seconds and memory of both ways' optimizer steps on one clip's six pairs, by turns.

    ratio_rows: without the plain way's twelve passes through processor and vision tower, which a trainer could keep.
    """
    noise, frames = frames_of(tokens)
    steps = [questions(index) for index in range(repeats + 1)]
    ways = {way: load(folder, way, tokens, checkpointing, device) for way in ("state", "plain")}
    watches = {way: Stopwatch(device) for way in ways}
    reading = Stopwatch(device)
    nothing = torch.zeros(QUESTIONS, 2, device=device)
    optimizers = {way: step.adamw(lm, LR) for way, lm in ways.items()}
    for asked in steps:
        for way, lm in ways.items():
            with watches[way]:
                step.take(lm, optimizers[way], step.batch(noise, frames, asked, nothing))
        unseen = replace(noise, id=f"{noise.id} {len(reading.readings)}")
        with reading:
            ways["state"].encode([unseen], [frames])
    # The first step pays for what is loaded and compiled once.
    state, plain = (watches[way].readings[1:] for way in ("state", "plain"))
    rows = [seconds - 2 * QUESTIONS * median(reading.readings[1:]) for seconds in plain]
    memory = {way: measure(way, tokens, checkpointing, device, folder) for way in ways}
    return {
        "visual_tokens": tokens,
        "checkpointing": checkpointing,
        "state_s": round(median(state), 3),
        "plain_s": round(median(plain), 3),
        "ratio_plain": round(median(plain) / median(state), 2),
        "ratio_rows": round(median(rows) / median(state), 2),
        "ratio_rows_spread": [round(min(rows) / max(state), 2), round(max(rows) / min(state), 2)],
        "state_mib": round(memory["state"], 1),
        "plain_mib": round(memory["plain"], 1),
        "memory_ratio": round(memory["state"] / memory["plain"], 3),
    }


def load(folder: Path, way: str, tokens: int, checkpointing: bool, device: str) -> VideoLM:
    """The model as savi trains it, one way or the other, with a processor that makes so many tokens of a clip."""
    base = load_base(BaseSettings(str(folder), gradient_checkpointing=checkpointing))
    if way == "plain":
        base = replace(base, way=Way("plain", "The benchmark asks for it"))
    base.model.to(device)
    pixels = tokens // (FRAMES // 2) * SIDE**2 * FRAMES
    video = base.processor.video_processor
    video.size = type(video.size)(shortest_edge=pixels, longest_edge=pixels)
    torch.manual_seed(1)
    peft_model = attach_lora(base.model, base.family, LoraSettings())
    peft_model.train(checkpointing)
    return VideoLM(base, peft_model)


def frames_of(tokens: int) -> tuple[Clip, Frames]:
    """A clip of noise, in frames of the size that the processor would scale them to."""
    noise, frames = clip(tokens)
    side = SIDE * round((tokens // (FRAMES // 2)) ** 0.5)
    pixels = torch.nn.functional.interpolate(frames.pixels.permute(0, 3, 1, 2).float(), size=(side, side))
    return noise, replace(frames, pixels=pixels.permute(0, 2, 3, 1).to(torch.uint8).contiguous())


def measure(way: str, tokens: int, checkpointing: bool, device: str, folder: Path) -> float:
    """MiB above the resident model, in a process of its own, after its start."""
    command = [sys.executable, "-m", "tools.bench.states", way, str(tokens), str(int(checkpointing)), device]
    # Freed memory goes back at once: the high-water mark must not depend on what the allocator still holds.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return float(done.stdout.split()[-1])


def main(way: str, tokens: str, checkpointing: str, device: str, folder: str) -> None:
    if device == "cpu":
        torch.set_num_threads(1)
    lm = load(Path(folder), way, int(tokens), checkpointing == "1", device)
    noise, frames = frames_of(int(tokens))
    optimizer, nothing, mark = step.adamw(lm, LR), torch.zeros(QUESTIONS, 2, device=device), Watermark(device)
    step.take(lm, optimizer, step.batch(noise, frames, questions(0), nothing))  # for what the libraries set up once
    with mark:
        step.take(lm, optimizer, step.batch(noise, frames, questions(1), nothing))
    print(mark.readings[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
