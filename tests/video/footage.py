"""Video files made by the tests. Every frame shows its own number as a row of dark and bright bars, in binary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray
from torch import Tensor

BITS = 10
WIDTH, HEIGHT = 160, 96
DARK, BRIGHT = 40, 210


def draw(number: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """RGB image whose bar i, from the left, is bit i of the number."""
    bits = np.array([number >> i & 1 for i in range(BITS)])
    row = np.where(bits[np.arange(width) * BITS // width], BRIGHT, DARK).astype(np.uint8)
    return np.broadcast_to(row[None, :, None], (height, width, 3)).copy()


def number_in(image: Tensor | NDArray[np.uint8]) -> int:
    """The number that an image shows, read from the middle of every bar."""
    pixels = np.asarray(image)
    centres = ((np.arange(BITS) + 0.5) * pixels.shape[1] / BITS).astype(int)
    middle = pixels[pixels.shape[0] // 4 : 3 * pixels.shape[0] // 4]
    return sum(1 << i for i, x in enumerate(centres) if middle[:, x - 2 : x + 3].mean() > (DARK + BRIGHT) / 2)


def numbers_in(frames: Tensor | NDArray[np.uint8]) -> list[int]:
    return [number_in(image) for image in frames]


def film(
    path: Path,
    frames: int = 100,
    codec: str = "libx264",
    options: Mapping[str, str] | None = None,
    *,
    fps: int = 25,
    container: Mapping[str, str] | None = None,
    times: Callable[[int], int] | None = None,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    rotation: int | None = None,
    pixel_format: str = "yuv420p",
    title: str = "",
) -> Path:
    """Encode frames 0, 1, … . times: the milliseconds at which frame i is shown. rotation: degrees, to display."""
    with av.open(str(path), "w", options=dict(container or {})) as output:
        output.metadata["title"] = title
        stream = output.add_stream(codec, rate=fps, options=dict(options or {}))
        stream.width, stream.height = size
        stream.pix_fmt = pixel_format
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        if rotation is not None:
            stream.set_display_rotation(rotation)
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(draw(i, *size), format="rgb24")
            if times:
                frame.pts, frame.time_base = times(i), Fraction(1, 1000)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def remuxed(source: Path, path: Path, change: Callable[[int, av.Packet], av.Packet | None]) -> Path:
    """A copy of the packets, each as `change` gives it back; None leaves it out."""
    with av.open(str(source)) as before, av.open(str(path), "w") as after:
        stream = before.streams.video[0]
        copy = after.add_stream_from_template(stream)
        for number, packet in enumerate(packet for packet in before.demux(stream) if packet.size):
            changed = change(number, packet)
            if changed is not None:
                changed.stream = copy
                after.mux(changed)
    return path


def copy_of(packet: av.Packet, data: bytes | bytearray) -> av.Packet:
    """A packet with other bytes and the same times; not a keyframe."""
    copy = av.Packet(bytes(data))
    copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
    return copy


def sound(path: Path, *, cover: bool = False) -> Path:
    """A second of silence, and no picture but that of a cover."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=8000)
        if cover:
            art = output.add_stream("mjpeg", rate=1)
            art.width, art.height, art.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
            art.disposition = Disposition.attached_pic
            output.mux(art.encode(av.VideoFrame.from_ndarray(draw(1), format="rgb24")))
            output.mux(art.encode())
        for i in range(8):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 8000, i * 1024
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path
