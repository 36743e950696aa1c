"""A run's model with its base, loaded once: what the two say about a clip."""

from __future__ import annotations

from pathlib import Path

from savi.inference import GenerateRequest
from savi.runs.read import Run, load_aligned, read_run
from savi.types import Clip, Frames
from savi.video.decode import decode
from savi.video.shrink import shrink


class AlignedModel:
    """A run's model. It answers greedily, with the run's answer prompt and its number of frames."""

    def __init__(self, run: Run) -> None:
        """Loads the base and the adapter, to the GPU if there is one. Raises SaviError where they don't fit."""
        self.run = run
        self.lm = load_aligned(run)

    def ask(self, video: str | Path, question: str) -> str:
        """The reply of the aligned model. Raises UndecodableClip for a video that can't be read."""
        return self.reply(Path(video), read_frames(self.run, Path(video)), question)

    def ask_base(self, video: str | Path, question: str) -> str:
        """The reply of the base, without the adapter. Raises as ask() does."""
        with self.lm.peft_model.disable_adapter():
            return self.ask(video, question)

    def reply(self, video: Path, frames: Frames, question: str) -> str:
        """The reply to frames that are read already, with the adapter as it is now."""
        # A session for each reply: keys and values depend on the adapter. The vision tower's output is cached.
        session = self.lm.encode([Clip(video.stem, video)], [frames])
        request = GenerateRequest(0, self.run.prompts.answer.format(question=question))
        return session.generate([request], self.run.greedy)[0].text


def load_run(folder: str | Path, base: str | None = None) -> AlignedModel:
    """The model of a run, ready to be asked.

    folder: a run's, lightning_logs/<name>/version_<n>. base: where its base is now, if not where the run had it.
    Raises SaviError for a folder that is no run's, and for another base.
    """
    return AlignedModel(read_run(Path(folder), base))


def ask(run: Run, video: Path, question: str) -> tuple[str, str]:
    """The replies of base and aligned model. Raises SaviError, UndecodableClip before any model is loaded."""
    frames = read_frames(run, video)
    model = AlignedModel(run)
    with model.lm.peft_model.disable_adapter():
        base = model.reply(video, frames, question)
    return base, model.reply(video, frames, question)


def read_frames(run: Run, video: Path) -> Frames:
    """The frames of a video as the run's model has seen others: as many, and as large."""
    return shrink(decode(video, run.data["frames"], run.data["decode_timeout"]), run.data["max_pixels"])
