"""Scenes to pixels, and pixels to mp4 files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from savi.video.encode import encode
from savi.world.scenes import BIGGER, FPS, FRAMES, SMALLER, Scene, Thing

SIZE = 112
"""Width and height of a clip in pixels: twice those that the base model sees, for the eyes of people."""

RGB = {
    "red": (220, 45, 40),
    "green": (45, 175, 60),
    "blue": (50, 85, 235),
    "yellow": (240, 215, 50),
    "purple": (165, 60, 205),
    "cyan": (60, 205, 215),
    "white": (245, 245, 245),
}
GREY = 128
TINT = 22
"""How far the backdrop's red and blue go up and down, in grey levels."""
CHANGE_LENGTH = 3
"""Frames that a change takes."""

Plane = NDArray[np.floating[Any]]

_ROWS, _COLUMNS = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) + 0.5


def draw(scene: Scene) -> NDArray[np.uint8]:
    """The clip's frames, RGB, (FRAMES, SIZE, SIZE, 3)."""
    frames = np.repeat(backdrop(scene.background)[None], FRAMES, axis=0)
    for thing in scene.things:
        for index in range(thing.appears, FRAMES):
            _paint(frames[index], thing, index, scene.pale)
    return frames.round().astype(np.uint8)


def backdrop(level: int) -> NDArray[np.float32]:
    """An empty frame, (SIZE, SIZE, 3): warmer to the right, bluer to the top.

    Without it a patch of an empty frame would look alike everywhere, and a model that knows positions only
    relative to each other could hardly learn where anything is.
    """
    frame = np.full((SIZE, SIZE, 3), float(level), dtype=np.float32)
    frame[..., 0] += TINT * (2 * _COLUMNS / SIZE - 1)
    frame[..., 2] -= TINT * (2 * _ROWS / SIZE - 1)
    return frame


def _paint(frame: NDArray[np.float32], thing: Thing, index: int, pale: float) -> None:
    """Blend one object into one frame, in place."""
    x, y = centre(thing, index)
    size, color = radius(thing, index), np.array(RGB[thing.color], dtype=np.float32)
    color += pale * (GREY - color)
    if thing.change == "turns white":
        color += changed(thing, index) * (np.array(RGB["white"], dtype=np.float32) - color)
    reach = int(size * 1.4) + 2
    rows = slice(max(int(y) - reach, 0), int(y) + reach + 1)
    columns = slice(max(int(x) - reach, 0), int(x) + reach + 1)
    distance = _distance(thing.shape, _COLUMNS[rows, columns] - x, _ROWS[rows, columns] - y, size)
    cover = np.clip(0.5 - distance, 0, 1)[..., None]
    frame[rows, columns] += cover * (color - frame[rows, columns])


def changed(thing: Thing, index: int) -> float:
    """How far an object's change has come in one frame, 0 to 1."""
    return min(max((index - thing.changes) / CHANGE_LENGTH, 0.0), 1.0)


def radius(thing: Thing, index: int) -> float:
    """An object's radius in one frame, in pixels."""
    factor = {"gets bigger": BIGGER, "gets smaller": SMALLER}.get(thing.change, 1.0)
    return thing.size * SIZE * (1 + (factor - 1) * changed(thing, index))


def centre(thing: Thing, index: int) -> tuple[float, float]:
    """Where an object's centre is in one frame: pixels from the left, pixels from the top."""
    row, column = thing.place.split()
    x = (0.25 if column == "left" else 0.75) + thing.offset[0]
    y = (0.25 if row == "top" else 0.75) + thing.offset[1]
    way = thing.travel * ((index - thing.appears) / (FRAMES - 1 - thing.appears) - 0.5)
    x += {"left": -way, "right": way}.get(thing.direction, 0.0)
    y += {"up": -way, "down": way}.get(thing.direction, 0.0)
    return x * SIZE, y * SIZE


def _distance(shape: str, x: Plane, y: Plane, radius: float) -> Plane:
    """Signed distance in pixels to the outline of a shape around (0, 0), negative inside. The areas are alike."""
    across, along = np.abs(x), np.abs(y)
    if shape == "circle":
        return np.hypot(x, y) - radius
    if shape == "square":
        return np.maximum(across, along) - 0.9 * radius
    if shape == "triangle":
        return np.maximum(0.866 * across - 0.5 * y, y) - 0.62 * radius
    arm, width = 1.15 * radius, 0.38 * radius
    return np.minimum(np.maximum(across - arm, along - width), np.maximum(across - width, along - arm))


def write_clip(scene: Scene, path: Path) -> None:
    """Render a scene to an mp4 file (h264, yuv420p). A killed process leaves no half a clip at `path`."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with av.open(str(unfinished), "w", format="mp4") as container:
        encode(draw(scene), container, FPS)
    unfinished.replace(path)
