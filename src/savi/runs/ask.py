"""One clip, one question: what the base says, and what the aligned model says."""

from __future__ import annotations

from pathlib import Path

from savi.runs.read import Run, load_aligned
from savi.types import Branch, Clip
from savi.video.decode import decode
from savi.video.shrink import shrink


def ask(run: Run, video: Path, question: str) -> tuple[str, str]:
    """The greedy replies of base and aligned model. Raises SaviError, UndecodableClip before any model is loaded."""
    frames = shrink(decode(video, run.data["frames"], run.data["decode_timeout"]), run.data["frame_pixels"])
    lm = load_aligned(run)
    clip = Clip(video.stem, video)
    branch = Branch(0, run.prompts.answer.format(question=question))
    with lm.peft_model.disable_adapter():
        (base,) = lm.generate(lm.watch([clip], [frames]), [branch], run.greedy)
    # Watched anew, for keys and values hang on the adapter; the vision tower's output is kept.
    (aligned,) = lm.generate(lm.watch([clip], [frames]), [branch], run.greedy)
    return base.text, aligned.text
