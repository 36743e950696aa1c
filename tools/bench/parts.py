"""Seconds by part of a round, over a few clips that are read from real files."""

from __future__ import annotations

from pathlib import Path

import av

from savi.models.video_lm import VideoLM
from savi.types import Clip, Frames
from savi.video.decode import decode
from tools.bench import chain, step
from tools.bench.meters import Stopwatch
from tools.bench.workload import FRAMES, clip, questions


def film(path: Path, frames: Frames) -> None:
    """Write noise as H.264, twice as many frames as are sampled."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=8)
        stream.width, stream.height = frames.pixels.shape[2], frames.pixels.shape[1]
        stream.pix_fmt = "yuv420p"
        for pixels in frames.pixels.repeat_interleave(2, 0):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels.numpy(), format="rgb24")))
        container.mux(stream.encode())


def time_parts(lm: VideoLM, visual_tokens: int, device: str, folder: Path, clips: int = 3) -> dict[str, Stopwatch]:
    """Time decode, vision, chain, reference and step, a reading a clip."""
    watches = {part: Stopwatch(device) for part in ("decode", "vision", "chain", "reference", "step")}
    optimizer = step.adamw(lm, lr=1e-4)
    for index in range(clips):
        noise, frames = clip(visual_tokens, seed=index)
        path = folder / noise.path.name
        film(path, frames)
        filmed = Clip(noise.id, path)
        asked = questions(index)
        lm.peft_model.eval()  # as a round does: checkpointing, on while it trains, would drop the cache
        with watches["decode"]:
            frames = decode(path, FRAMES, timeout=60.0)
        with watches["vision"]:
            lm.encode([filmed], [frames])
        chain.run(lm, [filmed], [frames], watches["chain"])
        with watches["reference"]:
            logps = step.reference(lm, filmed, frames, asked)
        lm.peft_model.train()
        with watches["step"]:
            step.take(lm, optimizer, step.batch(filmed, frames, asked, logps))
    return watches
