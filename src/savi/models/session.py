"""A session: a batch of clips that a model has encoded, and everything that is generated or scored behind them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Literal

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from savi.conversations import opening
from savi.errors import NonFiniteError
from savi.inference import GenerateRequest, Reply, ResponseScores, ScoreRequest
from savi.models.chat import Chat
from savi.models.family import ClipPrefix, clips_at_once
from savi.models.generate import continue_branches
from savi.models.kv_cache import KVCache, fill_kv_cache
from savi.models.score import score_packed
from savi.models.tree import TokenizedRequest
from savi.types import Clip, Frames, OpenedClip, Sampling

Reference = Literal["base", "previous"]
"""base: the model with its adapter off. previous: the adapter at the time when the pairs are built, that
is, at the end of the round before. Its log-probabilities are stored with the pairs, so no copy of it is needed."""


@dataclass
class VideoLMSession:
    """Clips whose prefixes are encoded (implements :class:`savi.inference.Session`). `VideoLM.encode` opens one.

    The prefixes depend on frozen weights only. Keys and values depend on the adapter too: they are computed when
    something is first generated, and a session must not be used for generation after a step of the optimizer.
    """

    peft_model: PeftModel
    chat: Chat
    reference: Reference
    clips: Sequence[Clip]
    frames: Sequence[Frames | None]
    prefixes: Sequence[ClipPrefix]
    _kv_cache: KVCache | None = field(default=None, init=False, repr=False)

    @property
    def model(self) -> PreTrainedModel:
        return self.peft_model.get_base_model()

    def generate(self, requests: Sequence[GenerateRequest], sampling: Sampling) -> list[Reply]:
        """Continue every prompt under the current adapter. The replies come in the order of the requests.

        Raises NonFiniteError for a reply whose log-probability isn't finite: its tokens mean nothing. Raises
        RuntimeError for a model in training mode.
        """
        if not requests:
            return []
        family = self.chat.family
        if self._kv_cache is None:
            self._kv_cache = fill_kv_cache(self.model, family, self.prefixes)
        clips = [request.clip for request in requests]
        continuations = continue_branches(
            self.model,
            family,
            self._kv_cache,
            clips=clips,
            prompts=[self.chat.prompt_ids(request.prompt, self.prefixes[request.clip]) for request in requests],
            seeds=[request.seed for request in requests],
            sampling=sampling,
            end_ids=self.chat.end_ids,
            banned_ids=torch.tensor(self.chat.banned_ids, device=self.model.device),
        )
        self._check_finite(clips, [c.logp for c in continuations])
        return [Reply(self.chat.decode(c.ids), len(c.ids) + c.finished, c.logp, c.finished) for c in continuations]

    def score(self, requests: Sequence[ScoreRequest]) -> ResponseScores:
        """Packed log-probabilities of every response under the current adapter; gradients flow if enabled.

        Without gradients, raises NonFiniteError for a log-probability that isn't finite. With them it is for the
        caller to find, who may have to agree with other processes.
        """
        order, by_clip = self._by_clip(requests)
        clips = [index for index, group in enumerate(by_clip) if group]
        # With gradients the caller decides on the memory: all requests stay in memory for one backward pass.
        at_once = len(clips) if torch.is_grad_enabled() else clips_at_once(self.prefixes)
        parts = [
            score_packed(self.model, self.chat.family, [self.prefixes[i] for i in some], [by_clip[i] for i in some])
            for some in (clips[start : start + at_once] for start in range(0, len(clips), at_once))
        ]
        index = torch.tensor(order, device=self.model.device)
        logps = torch.cat([part.logps for part in parts])[index]
        if not torch.is_grad_enabled():
            self._check_finite([one.clip for one in requests for _ in one.responses], logps.tolist())
        return ResponseScores(logps, torch.cat([part.lengths for part in parts])[index])

    @torch.no_grad()
    def score_reference(self, requests: Sequence[ScoreRequest]) -> ResponseScores:
        """The same under the frozen reference, without a gradient."""
        with self.peft_model.disable_adapter() if self.reference == "base" else nullcontext():
            return self.score(requests)

    def tokenize(self, request: ScoreRequest) -> TokenizedRequest:
        """The token ids of a request behind the prefix of its clip: int tuples, the end token last in each response.

        Raises SaviError for a prompt that the chat template can't write behind that prefix.
        """
        clip = self.clips[request.clip]
        if opening(request.prompt) != (clip.opening if isinstance(clip, OpenedClip) else ()):
            raise ValueError(f"clip {clip.id} was encoded behind another text than that of the prompt")
        return TokenizedRequest(
            self.chat.prompt_ids(request.prompt, self.prefixes[request.clip]),
            tuple(self.chat.response_ids(response) for response in request.responses),
        )

    def _by_clip(self, requests: Sequence[ScoreRequest]) -> tuple[list[int], list[list[TokenizedRequest]]]:
        """Requests grouped by clip, and for each response, as asked for, its place among the grouped ones."""
        grouped: list[list[TokenizedRequest]] = [[] for _ in self.prefixes]
        asked: list[tuple[int, int]] = []
        for request in requests:
            asked.append((request.clip, len(grouped[request.clip])))
            grouped[request.clip].append(self.tokenize(request))
        places: dict[tuple[int, int], range] = {}
        count = 0
        for clip, group in enumerate(grouped):
            for index, tokenized in enumerate(group):
                places[clip, index] = range(count, count + len(tokenized.responses))
                count += len(tokenized.responses)
        return [place for key in asked for place in places[key]], grouped

    def _check_finite(self, clips: Sequence[int], logps: Sequence[float]) -> None:
        """clips: index into the session's clips, one per log-probability."""
        for clip, logp in zip(clips, logps, strict=True):
            if not math.isfinite(logp):
                raise NonFiniteError(f"clip {self.clips[clip].id}: the model gives a log-probability of {logp}")
