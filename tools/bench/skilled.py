"""Rows of the benchmark against skilled users of the peers: what a user can compute once, they compute once.

Both sides count everything: the processor, the vision tower, the reference, the step; the clip's keys and values.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from statistics import mean, median
from typing import Any

from savi.inference import ScoreRequest
from savi.models.adapters import trainable_state
from savi.models.video_lm import VideoLM
from savi.types import Clip, Frames
from tools.bench import chain, skilled_generate, step
from tools.bench.meters import Meter, cpu_meter
from tools.bench.rows import LR, Bench, ratio_of
from tools.bench.workload import clip, questions


def step_row(bench: Bench, tokens: int, prompt: int, response: int, count: int, naive: bool) -> dict[str, Any]:
    """A step on the pairs of a clip that nobody has seen before. count: its questions. naive: time TRL's way too.

    TRL's steps come between two blocks of ours. The first clip of each block pays for what is loaded once.
    """
    from tools.bench import skilled_trl  # not at the top: without peers the benchmark runs where TRL isn't installed

    noise, frames = zip(*(clip(tokens, seed) for seed in range(bench.repeats + 1)), strict=True)
    steps = [questions(number, response, prompt, count) for number in range(len(noise))]
    lm = bench.load(tokens, checkpointing=True)
    fresh = {name: value.clone() for name, value in trainable_state(lm.peft_model).items()}
    ours, losses = cpu_meter(bench.device), []
    for block in range(2):
        lm.peft_model.load_state_dict(fresh, strict=False)
        meter = cpu_meter(bench.device)
        unseen = [replace(one, id=f"{one.id}, block {block}") for one in noise]
        losses = _train(lm, unseen, frames, steps, meter)
        ours.readings += meter.readings[1:]
        lm.peft_model.load_state_dict(fresh, strict=False)
        if not block:
            numbered = [[replace(one, clip=number) for one in asked] for number, asked in enumerate(steps)]
            theirs, others = skilled_trl.train(lm, bench.shape, bench.folder, frames, numbered, LR, checkpointing=True)
            plain = cpu_meter(bench.device)
            if naive:
                bench.train_trl(lm, frames[0], steps[:2], True, "video", plain)
                lm.peft_model.load_state_dict(fresh, strict=False)
    row: dict[str, Any] = {
        **_stamp("trl"),
        **_shape(bench, tokens),
        "prompt_tokens": prompt,
        "response_tokens": response,
        "questions": count,
        "clips": bench.repeats,
        "savi_s": round(median(ours.readings), 3),
        "skilled_trl_s": round(median(theirs[1:]), 3),
        **ratio_of("skilled_trl", theirs[1:], ours.readings),
        "largest_difference": max(abs(a - b) for a, b in zip(losses, others, strict=True)),
    }
    return row | (ratio_of("naive_trl", plain.readings[1:], ours.readings) if naive else {})


def _train(
    lm: VideoLM,
    clips: Sequence[Clip],
    frames: Sequence[Frames],
    steps: Sequence[Sequence[ScoreRequest]],
    meter: Meter,
) -> list[float]:
    """Each clip from its frames to the step, as a round does it; the losses."""
    optimizer = step.adamw(lm, LR)
    losses = []
    for one, shown, asked in zip(clips, frames, steps, strict=True):
        with meter:
            logps = step.reference(lm, one, shown, asked)
            losses.append(step.take(lm, optimizer, step.batch(one, shown, asked, logps)))
    return losses


def chain_row(bench: Bench, tokens: int, count: int) -> dict[str, Any]:
    """The chain of several clips together, greedy, with replies of unlike lengths. count: questions about each clip."""
    noise, frames = zip(*(clip(tokens, seed) for seed in range(chain.CLIPS)), strict=True)
    lm = bench.load(tokens, checkpointing=False, keep=False)
    peer = skilled_generate.CachedGenerate(lm)
    ours, theirs, same, written = cpu_meter(bench.device), cpu_meter(bench.device), 0, 0
    for _ in range(bench.repeats + 1):
        replies = skilled_generate.run(lm, noise, frames, count, ours)
        others = peer.run(frames, count, theirs)
        same += sum(a == b for a, b in zip(replies, others, strict=True))
        written += len(replies)
    turns = skilled_generate.turns(count)
    lengths = [length for turn in turns for length in skilled_generate.reply_lengths(turn, chain.CLIPS, 0)]
    return {
        **_stamp(),
        **_shape(bench, tokens),
        "questions": count,
        "clips_together": chain.CLIPS,
        "reply_tokens": [min(lengths), round(mean(lengths)), max(lengths)],
        "readings": bench.repeats,
        "savi_s": round(median(ours.readings[1:]) / chain.CLIPS, 3),
        "cached_generate_s": round(median(theirs.readings[1:]) / chain.CLIPS, 3),
        **ratio_of("cached_generate", theirs.readings[1:], ours.readings[1:]),
        "identical_replies": f"{same} of {written}",
    }


def _stamp(*packages: str) -> dict[str, Any]:
    """The day, the versions and the machine's load (of 15 minutes): these rows are run by themselves, too."""
    versions = {name: version(name) for name in ("torch", "transformers", *packages)}
    return {"date": time.strftime("%Y-%m-%d"), **versions, "load": round(os.getloadavg()[2], 1)}


def _shape(bench: Bench, tokens: int) -> dict[str, Any]:
    return {
        "shape": bench.name,
        "layers": bench.shape.layers,
        "width": bench.shape.width,
        "visual_tokens": tokens,
        "attention_share": round(bench.shape.attention_share(tokens), 3),
    }
