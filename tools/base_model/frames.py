"""The base model's training clips, rendered to h264 and decoded again as any clip is, kept as uint8 on disk."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import Qwen2_5_VLProcessor

from savi.video.encode import encode
from savi.video.sampling import midpoint_indices
from savi.world.render import draw
from savi.world.scenes import FPS, FRAMES, Scene
from tools.base_model.build import SIDE

SAMPLED = 32
SECONDS_PER_GRID = float(2 * FRAMES / (SAMPLED * FPS))
"""Seconds that one visual token covers: temporal_patch_size / sampled fps, as the processor reckons it."""


def shoot(scene: Scene, sampled: int = SAMPLED) -> Tensor:
    """The frames that savi samples from a scene's mp4 file, uint8 (sampled, 3, height, width)."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        encode(draw(scene), container, FPS)
    file.seek(0)
    with av.open(file) as container:
        frames = list(container.decode(video=0))
    picked = [frames[index].to_ndarray(format="rgb24") for index in midpoint_indices(FRAMES, sampled)]
    return torch.from_numpy(np.stack(picked)).permute(0, 3, 1, 2)


def prepare(frames: Tensor, processor: Qwen2_5_VLProcessor) -> Tensor:
    """Frames as the processor resizes them, uint8 (..., SIDE, SIDE)."""
    video = processor.video_processor
    resized: Tensor = video.resize(
        frames[None],
        size=video.size,
        resample=video.resample,
        factor=video.patch_size * video.merge_size,
        temporal_factor=video.temporal_patch_size,
        cap_pixels_per_frame=False,
    )[0]
    return resized


def film(scenes: list[Scene], processor: Qwen2_5_VLProcessor, path: Path) -> NDArray[np.uint8]:
    """All the scenes at the size the model sees, uint8 (scenes, SAMPLED, 3, SIDE, SIDE), on disk at `path`."""
    shape = (len(scenes), SAMPLED, 3, SIDE, SIDE)
    reel = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    for index, scene in enumerate(scenes):
        reel[index] = prepare(shoot(scene), processor).numpy()
    return reel
