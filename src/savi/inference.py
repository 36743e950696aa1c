"""Requests to a model, its replies and scores, and the protocols of model and session.

The critique chain and the evaluation know a model by these alone; `savi.models` has the real one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from savi.conversations import Prompt
from savi.types import Clip, Frames, Sampling

if TYPE_CHECKING:
    # It takes seconds to import, and what works without a model (`savi score`) does without it.
    from torch import Tensor


@dataclass(frozen=True)
class GenerateRequest:
    """A prompt to be continued behind a clip. clip: index into the session's clips. seed: of the reply's draws."""

    clip: int
    prompt: str
    seed: int = 0


@dataclass(frozen=True)
class Reply:
    """A generated reply.

    logp: sum of the log-probabilities that its tokens (the end token too) have under the untempered model.
    finished: whether the model ended it by itself, within the limit. thought: what a thinking model wrote before it,
    which is no part of text, tokens and logp.
    """

    text: str
    tokens: int
    logp: float
    finished: bool
    thought: str = ""


@dataclass(frozen=True)
class ScoreRequest:
    """A prompt with the responses whose log-probabilities are wanted. clip: index into the session's clips.

    until_they_differ: score each response up to the first token that tells the responses apart. This is enough to tell
    which of a few words is the likeliest, and reads none of them, as their first tokens differ as a rule.
    """

    clip: int
    prompt: Prompt
    responses: tuple[str, ...]
    until_they_differ: bool = False


@dataclass(frozen=True)
class ResponseScores:
    """Log-probabilities of responses, the end token counted in if they are whole, in the order of their requests.

    logps: float32 (responses,), summed over tokens. lengths: int64 (responses,), tokens.
    """

    logps: Tensor
    lengths: Tensor


class Session(Protocol):
    """A batch of clips that a model has encoded. All that is said about them is generated and scored here."""

    @property
    def clips(self) -> Sequence[Clip]: ...

    @property
    def frames(self) -> Sequence[Frames | None]:
        """Of each clip, for another model to encode. None for a clip that the models have in their caches."""

    def generate(self, requests: Sequence[GenerateRequest], sampling: Sampling) -> list[Reply]:
        """Continue every prompt. The replies come in the order of the requests."""

    def length(self, request: ScoreRequest) -> int:
        """Tokens of the clip, the prompt and the longest response. Raises SaviError for a prompt that can't be written
        in the model's chat."""

    def score(self, requests: Sequence[ScoreRequest]) -> ResponseScores:
        """Log-probabilities of every response of every request, under the current adapter."""

    def score_reference(self, requests: Sequence[ScoreRequest]) -> ResponseScores:
        """The same under the frozen reference."""


class VideoModel(Protocol):
    """A model as the critique chain needs it."""

    @property
    def max_length(self) -> int | None:
        """Most tokens that the model was made for, None where it doesn't say."""

    def is_cached(self, clip: Clip) -> bool:
        """Whether encode() can do without this clip's frames."""

    def encode(self, clips: Sequence[Clip], frames: Sequence[Frames | None]) -> Session:
        """Encode each clip's frames and open a session on them. frames may be None for a clip that is cached."""
