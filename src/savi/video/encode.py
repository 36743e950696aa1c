"""Frames to a video stream."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray


def encode(frames: NDArray[np.uint8], container: av.container.OutputContainer, fps: Fraction) -> None:
    """Encode frames as the only stream of an open container: h264, yuv420p.

    frames: uint8, (frames, height, width, 3), RGB, of even height and width. fps: frames per second. One thread: the
    bytes don't depend on the machine.
    """
    stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "crf": "18", "threads": "1"})
    stream.height, stream.width = frames.shape[1:3]
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = 1 / fps
    for index, pixels in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts = index
        container.mux(stream.encode(frame))
    container.mux(stream.encode())
