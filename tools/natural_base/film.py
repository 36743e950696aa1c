"""Clips to teach with: rendered to h264 and decoded again as any clip is, at the size that the model sees."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import SmolVLMProcessor
from transformers.image_utils import SizeDict

from savi.video.encode import encode
from savi.video.sampling import midpoint_indices
from savi.world.render import draw
from savi.world.scenes import FPS, FRAMES, Scene
from tools.natural_base.build import SAMPLED, SIDE


def shoot(scene: Scene, processor: SmolVLMProcessor) -> Tensor:
    """The frames that savi samples from a scene's mp4 file, resized, uint8 (SAMPLED, 3, SIDE, SIDE)."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        encode(draw(scene), container, FPS)
    file.seek(0)
    with av.open(file) as container:
        frames = list(container.decode(video=0))
    picked = np.stack([frames[index].to_ndarray(format="rgb24") for index in midpoint_indices(FRAMES, SAMPLED)])
    video = processor.video_processor
    resized: Tensor = video.resize(
        torch.from_numpy(picked).permute(0, 3, 1, 2), SizeDict(**video.size), resample=video.resample
    )
    return resized


def film(scenes: Sequence[Scene], processor: SmolVLMProcessor, path: Path) -> NDArray[np.uint8]:
    """All the scenes, uint8 (scenes, SAMPLED, 3, SIDE, SIDE), kept at `path` and rendered once."""
    if not path.exists():
        unfinished = path.with_suffix(".tmp")
        shape = (len(scenes), SAMPLED, 3, SIDE, SIDE)
        reel = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.uint8, shape=shape)
        for index, scene in enumerate(scenes):
            reel[index] = shoot(scene, processor).numpy()
        reel.flush()
        unfinished.replace(path)
    found: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return found


def pixels(frames: NDArray[np.uint8], processor: SmolVLMProcessor) -> Tensor:
    """Pixel values as the processor makes them, float32 (frames, 3, SIDE, SIDE)."""
    video = processor.video_processor
    values: Tensor = video.rescale_and_normalize(
        torch.from_numpy(np.ascontiguousarray(frames)).flatten(0, -4),
        True,
        video.rescale_factor,
        True,
        video.image_mean,
        video.image_std,
    )
    return values
