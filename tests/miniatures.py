"""Miniature models and clips that many tests share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch

from savi.models.adapters import LoraSettings, attach_lora
from savi.models.load import BaseSettings, load_base
from savi.models.prefix_cache import PrefixCacheSettings, open_prefix_folder
from savi.models.video_lm import Reference, VideoLM
from savi.types import Clip, Frames


def build_lm(
    folder: Path,
    *,
    nf4: bool = False,
    checkpointing: bool = False,
    reference: Reference = "base",
    dtype: Literal["float32", "bfloat16"] = "float32",
    prefix_cache: PrefixCacheSettings = PrefixCacheSettings(),  # noqa: B008 (frozen)
    sampled_as: str = "",
    cuda_graphs: bool = False,
    decode: Callable[[Clip], Frames | None] | None = None,
) -> VideoLM:
    """A fresh VideoLM whose adapter is random rather than zero, so that adapter on and off differ."""
    settings = BaseSettings(str(folder), dtype, nf4, gradient_checkpointing=checkpointing, cuda_graphs=cuda_graphs)
    base = load_base(settings)
    adapted = attach_lora(base.model, base.family, LoraSettings(r=4, alpha=8))
    generator = torch.Generator().manual_seed(7)
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    folder = open_prefix_folder(prefix_cache, Path()) if prefix_cache.folder else None
    return VideoLM(base, adapted, reference, prefix_cache.mib, folder, sampled_as, decode)


def noise_clip(index: int, height: int = 64, width: int = 64, frames: int = 8) -> tuple[Clip, Frames]:
    """A clip of noise: unlike every other one, and of any size."""
    generator = torch.Generator().manual_seed(index)
    pixels = torch.randint(0, 256, (frames, height, width, 3), dtype=torch.uint8, generator=generator)
    times = tuple(i / 8 for i in range(frames))
    return (
        Clip(f"noise_{index}", Path(f"noise_{index}.mp4")),
        Frames(pixels, times, tuple(range(0, 2 * frames, 2)), fps=16.0, duration=2 * frames / 16),
    )


def still_clip(index: int, height: int, width: int, frames: int = 8) -> tuple[Clip, Frames]:
    """A clip of noise whose frames are all alike."""
    clip, moving = noise_clip(index, height, width, frames)
    return clip, replace(moving, pixels=moving.pixels[:1].expand(frames, -1, -1, -1).contiguous())
