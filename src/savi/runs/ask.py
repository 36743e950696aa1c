"""One clip, one question: what the base says, and what the aligned model says."""

from __future__ import annotations

from pathlib import Path

from savi.inference import GenerateRequest
from savi.runs.read import Run, load_aligned
from savi.types import Clip
from savi.video.decode import decode
from savi.video.shrink import shrink


def ask(run: Run, video: Path, question: str) -> tuple[str, str]:
    """The greedy replies of base and aligned model. Raises SaviError, UndecodableClip before any model is loaded."""
    frames = shrink(decode(video, run.data["frames"], run.data["decode_timeout"]), run.data["max_pixels"])
    lm = load_aligned(run)
    clip = Clip(video.stem, video)
    request = GenerateRequest(0, run.prompts.answer.format(question=question))
    with lm.peft_model.disable_adapter():
        (base,) = lm.encode([clip], [frames]).generate([request], run.greedy)
    # A new session, for keys and values depend on the adapter; the vision tower's output is cached.
    (aligned,) = lm.encode([clip], [frames]).generate([request], run.greedy)
    return base.text, aligned.text
