"""A session: a batch of clips that a model has read, and everything that is generated or scored behind them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch

from savi.errors import NonFiniteError
from savi.inference import GenerateRequest, Reply, ResponseScores, ScoreRequest
from savi.models.chat import Chat
from savi.models.sharing import Continuation, ReadClips, ResponseIds, Thoughts
from savi.types import Clip, Frames, Sampling, derive_seed

if TYPE_CHECKING:
    from peft import PeftModel

Reference = Literal["base", "previous"]
"""base: the model with its adapter off. previous: the adapter at the time when the pairs are built, that
is, at the end of the round before. Its log-probabilities are stored with the pairs, so no copy of it is needed."""


@dataclass
class VideoLMSession:
    """Clips that a model has read (implements :class:`savi.inference.Session`). `VideoLM.encode` opens one.

    A session must not be used for generation after a step of the optimizer: it may hold keys and values of a clip.
    thought_tokens: most tokens of the thought before a reply; 0: replies have none.
    """

    peft_model: PeftModel
    chat: Chat
    reference: Reference
    clips: Sequence[Clip]
    frames: Sequence[Frames | None]
    read: ReadClips
    thought_tokens: int = 0

    def generate(self, requests: Sequence[GenerateRequest], sampling: Sampling) -> list[Reply]:
        """Continue every prompt under the current adapter. The replies come in the order of the requests.

        Raises NonFiniteError for a reply whose log-probability isn't finite: its tokens mean nothing. Raises
        RuntimeError for a model in training mode.
        """
        if not requests:
            return []
        thoughts, said = self._think(requests, sampling) if self.thought_tokens else (None, [""] * len(requests))
        written = self._write(requests, sampling, thoughts)
        return [
            Reply(self.chat.decode(c.ids), len(c.ids) + c.finished, c.logp, c.finished, thought)
            for c, thought in zip(written, said, strict=True)
        ]

    def _think(self, requests: Sequence[GenerateRequest], sampling: Sampling) -> tuple[Thoughts, list[str]]:
        """The thoughts before the replies, written within a budget of their own, and closed; and their texts."""
        seeded = [replace(request, seed=derive_seed(request.seed, "thought")) for request in requests]
        within = replace(sampling, max_new_tokens=self.thought_tokens)
        written = self._write(seeded, within, Thoughts([()] * len(requests), closed=False))
        closed = Thoughts([self.chat.closed(c.ids, c.finished) for c in written], closed=True)
        return closed, [self.chat.decode(c.ids) for c in written]

    def _write(
        self, requests: Sequence[GenerateRequest], sampling: Sampling, thoughts: Thoughts | None
    ) -> list[Continuation]:
        written = self.read.generate(requests, sampling, thoughts)
        self._check_finite([request.clip for request in requests], [one.logp for one in written])
        return written

    def score(self, requests: Sequence[ScoreRequest]) -> ResponseScores:
        """Log-probabilities of every response under the current adapter; gradients flow if enabled.

        Without gradients, raises NonFiniteError for a log-probability that isn't finite. With them it is for the
        caller to find, who may have to agree with other processes.
        """
        scores = self.read.score([tokenized(self.chat, request) for request in requests])
        if not torch.is_grad_enabled():
            self._check_finite([one.clip for one in requests for _ in one.responses], scores.logps.tolist())
        return scores

    @torch.no_grad()
    def score_reference(self, requests: Sequence[ScoreRequest]) -> ResponseScores:
        """The same under the frozen reference, without a gradient."""
        with self.peft_model.disable_adapter() if self.reference == "base" else nullcontext():
            return self.score(requests)

    def length(self, request: ScoreRequest) -> int:
        """Tokens of the clip, the prompt and the longest response.

        Raises SaviError for a prompt that the chat template can't write.
        """
        responses = tokenized(self.chat, request).responses
        return self.read.length(request.clip, request.prompt) + max(map(len, responses))

    def _check_finite(self, clips: Sequence[int], logps: Sequence[float]) -> None:
        """clips: index into the session's clips, one per log-probability."""
        for clip, logp in zip(clips, logps, strict=True):
            if not math.isfinite(logp):
                raise NonFiniteError(f"clip {self.clips[clip].id}: the model gives a log-probability of {logp}")


def tokenized(chat: Chat, request: ScoreRequest) -> ResponseIds:
    """A request with its responses as token ids."""
    responses = tuple(chat.response_ids(response) for response in request.responses)
    if request.until_they_differ:
        alike = next(i for i, tokens in enumerate(zip(*responses, strict=False)) if len(set(tokens)) > 1)
        responses = tuple(ids[: alike + 1] for ids in responses)
    return ResponseIds(request.clip, request.prompt, responses)
