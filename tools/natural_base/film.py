"""Clips to teach with: rendered to h264 and decoded again as any clip is, at the size that the model sees."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import SmolVLMProcessor
from transformers.image_utils import SizeDict

from savi.world.scenes import Scene
from tools.base_model.frames import shoot as frames_of_scene
from tools.natural_base.build import SAMPLED, SIDE


def shoot(scene: Scene, processor: SmolVLMProcessor) -> Tensor:
    """The frames that savi samples from a scene's mp4 file, resized, uint8 (SAMPLED, 3, SIDE, SIDE)."""
    video = processor.video_processor
    frames = frames_of_scene(scene, SAMPLED)
    resized: Tensor = video.resize(frames, SizeDict(**video.size), resample=video.resample)
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
