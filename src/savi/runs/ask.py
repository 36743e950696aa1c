"""A run's model with its base, loaded once: what the two say about a clip."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from savi.critique.own_filters import PairFilter
from savi.inference import GenerateRequest, ScoreRequest, Session
from savi.methods import PairMethod
from savi.runs.build_pairs import BuiltPairs, build_pairs
from savi.runs.read import Run, load_aligned, read_run
from savi.types import Clip, Frames, SaviError
from savi.video.decode import decode


class AlignedModel:
    """A run's model. It answers greedily, with the run's answer prompt and its number of frames."""

    def __init__(self, run: Run) -> None:
        """Loads the base and the adapter, to the GPU if there is one. Raises SaviError where they don't fit."""
        self.run = run
        self.lm = load_aligned(run)

    def ask(self, clip: str | Path, question: str) -> str:
        """The reply of the aligned model. clip: a video file. Raises UndecodableClip for one that can't be read."""
        return self.reply(Path(clip), read_frames(self.run, Path(clip)), question)

    def ask_base(self, clip: str | Path, question: str) -> str:
        """The reply of the base, without the adapter. Raises as ask() does."""
        with self.lm.peft_model.disable_adapter():
            return self.ask(clip, question)

    def score(self, clip: str | Path, question: str, responses: Sequence[str]) -> list[float]:
        """The log-probability of each response to the question, in nats, summed over its tokens and the end token.

        The responses reply to the run's answer prompt. Divide by a length of your choice to compare long with short
        ones. Raises UndecodableClip as ask() does, SaviError for a single string in the place of a list, and
        NonFiniteError for a model that gives no number.
        """
        if isinstance(responses, str):
            raise SaviError("score: responses is a list of texts, not a text")
        if not responses:
            return []
        session = self._session(Path(clip), read_frames(self.run, Path(clip)))
        with torch.no_grad():
            scores = session.score([ScoreRequest(0, self._prompt(question), tuple(responses))])
        values: list[float] = scores.logps.tolist()
        return values

    def pairs(
        self,
        clips: str | Path | Sequence[str | Path],
        folder: str | Path | None = None,
        method: PairMethod | None = None,
        own_filters: Sequence[PairFilter] | None = None,
    ) -> BuiltPairs:
        """The preference pairs that the run's next round would be trained on, without training. See build_pairs()."""
        return build_pairs(self.run, self.lm, clips, folder, method, own_filters)

    def reply(self, video: Path, frames: Frames, question: str) -> str:
        """The reply to frames that are read already, with the adapter as it is now."""
        request = GenerateRequest(0, self._prompt(question))
        return self._session(video, frames).generate([request], self.run.greedy)[0].text

    def _session(self, video: Path, frames: Frames) -> Session:
        """One for each call: keys and values depend on the adapter. The vision tower's output is cached."""
        return self.lm.encode([Clip(video.stem, video)], [frames])

    def _prompt(self, question: str) -> str:
        return self.run.prompts.answer.format(question=question)


def load_run(folder: str | Path, base: str | None = None, *, trust_remote_code: bool = False) -> AlignedModel:
    """The model of a run, ready to be asked.

    folder: a run's, lightning_logs/<name>/version_<n>. base: where its base is now, if not where the run had it.
    trust_remote_code: run Python code that the base brings along, and read weights that aren't safetensors.
    Raises SaviError for a folder that is no run's, and for another base.
    """
    return AlignedModel(read_run(Path(folder), base, trust_remote_code=trust_remote_code))


def ask(run: Run, video: Path, question: str) -> tuple[str, str]:
    """The replies of base and aligned model. Raises SaviError, UndecodableClip before any model is loaded."""
    frames = read_frames(run, video)
    model = AlignedModel(run)
    with model.lm.peft_model.disable_adapter():
        base = model.reply(video, frames, question)
    return base, model.reply(video, frames, question)


def read_frames(run: Run, video: Path) -> Frames:
    """The frames of a video as the run's model has seen others: as many, and as large."""
    return decode(video, run.data["frames"], run.data["decode_timeout"], run.data["max_pixels"])
