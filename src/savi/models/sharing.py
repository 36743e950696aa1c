"""How the questions about a clip share it: the protocol of the ways that `savi.models.ways` chooses from.

A session knows its clips by :class:`ReadClips` alone, whichever way they are held in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from savi.conversations import Prompt
from savi.inference import GenerateRequest, ResponseScores
from savi.types import Clip, Frames, Sampling


@dataclass(frozen=True)
class Continuation:
    """Sampled token ids, without the end token, and the sum of log-probabilities, the end token's too."""

    ids: tuple[int, ...]
    logp: float
    finished: bool


@dataclass(frozen=True)
class ResponseIds:
    """A prompt about a clip with responses as token ids, the end token last. clip: index into the session's clips."""

    clip: int
    prompt: Prompt
    responses: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Thoughts:
    """The thoughts before replies, one for each request: token ids behind the prompt. closed: the replies follow."""

    ids: Sequence[tuple[int, ...]]
    closed: bool


class ReadClips(Protocol):
    """A batch of clips, ready for prompts."""

    def length(self, clip: int, prompt: Prompt) -> int:
        """Tokens of a clip, an index, with a prompt. Raises SaviError for a prompt that can't be written."""

    def score(self, requests: Sequence[ResponseIds]) -> ResponseScores:
        """Log-probabilities of every response under the current weights, in order; gradients flow if enabled."""

    def generate(
        self, requests: Sequence[GenerateRequest], sampling: Sampling, thoughts: Thoughts | None = None
    ) -> list[Continuation]:
        """Continue every prompt until an end token or the limit, in order. Each draws from its own seed's numbers.

        thoughts: what the model thinks first; None where a reply follows its prompt. Special tokens are never drawn.
        Raises RuntimeError for a model in training mode.
        """


class Sharing(Protocol):
    """A way of sharing, for one model."""

    def is_cached(self, clip: Clip) -> bool:
        """Whether read() can do without this clip's frames."""

    def prepare(self, frames: Frames) -> Frames:
        """The frames with what the processor makes of them, where that spares read() a wait. Other threads may call
        it."""

    def read(self, clips: Sequence[Clip], frames: Sequence[Frames | None]) -> ReadClips:
        """Read a batch of clips. frames may be None for a clip that is cached. Raises SaviError where it is not."""
