"""Clips that are read once for all their prompts: one row a clip, its branches in a tree behind it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from threading import Lock

import torch
from transformers import PreTrainedModel, ProcessorMixin

from savi.conversations import Conversation, Prompt, opening
from savi.errors import SaviError
from savi.inference import GenerateRequest, ResponseScores
from savi.models.chat import Chat
from savi.models.family import ClipPrefix, clips_at_once
from savi.models.fused_lora import fused_adapter
from savi.models.generate import continue_branches
from savi.models.kv_cache import KVCache, fill_kv_cache
from savi.models.prefix import encode_prefix
from savi.models.prefix_cache import PrefixCache
from savi.models.score import score_packed
from savi.models.sharing import Continuation, ResponseIds, Thoughts
from savi.models.tree import TokenizedRequest
from savi.types import Clip, Frames, OpenedClip, Prepared, Sampling


class PackedSharing:
    """Encodes each clip into a prefix (implements :class:`savi.models.sharing.Sharing`).

    decode: called for a clip without frames whose prefix is gone since is_cached() was asked: its file on disk was
    damaged, or made room for another run's. None where its video can't be read. graphs: see `continue_branches`.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        chat: Chat,
        cache: PrefixCache,
        decode: Callable[[Clip], Frames | None] | None = None,
        *,
        graphs: bool = False,
    ) -> None:
        self.model = model
        self.chat = chat
        self.cache = cache
        self.decode = decode
        self.graphs = graphs
        self._preparing = Lock()
        self._opened = False

    def is_cached(self, clip: Clip) -> bool:
        return clip in self.cache

    @cached_property
    def _processor_ahead(self) -> ProcessorMixin:
        """For other threads: a tokenizer can't be used by two of them."""
        return deepcopy(self.chat.processor)

    def prepare(self, frames: Frames) -> Frames:
        """A model on a GPU waits for its processor. On a CPU the two would take turns.

        Frames don't tell what text comes before them. So nothing is prepared after the first clip that is behind some.
        """
        if self.model.device.type == "cpu" or self._opened:
            return frames
        with self._preparing:
            try:
                inputs = self.chat.family.video_inputs(self._processor_ahead, self.chat.text(""), frames)
            except Exception:  # read() meets it again, where it is explained
                return frames
        return replace(frames, prepared=Prepared(self, inputs))

    @torch.no_grad()
    def read(self, clips: Sequence[Clip], frames: Sequence[Frames | None]) -> PackedClips:
        """No gradient is recorded: the vision tower and the embedding are frozen."""
        prefixes = []
        for clip, clip_frames in zip(clips, frames, strict=True):
            prefix = self.cache.get(clip)
            if prefix is None:
                prefix = self._encode(clip, clip_frames)
            prefixes.append(prefix.to(self.model.device))
        return PackedClips(self.model, self.chat, clips, prefixes, self.graphs)

    def _encode(self, clip: Clip, frames: Frames | None) -> ClipPrefix:
        if frames is None and self.decode:
            frames = self.decode(clip)
        if frames is None:
            raise SaviError(
                f"clip {clip.id} is not kept any more: its file was replaced or removed while the run read it, so "
                "resume the run"
            )
        before = _opening(clip)
        self._opened |= bool(before)
        inputs = frames.prepared.take(self) if frames.prepared and not before else None
        chat = self.chat.text(before or "")
        prefix = encode_prefix(self.model, self.chat.processor, self.chat.family, chat, frames, inputs)
        self.cache.add(clip, prefix, frames.file)
        return prefix


@dataclass
class PackedClips:
    """Clips whose prefixes are encoded (implements :class:`savi.models.sharing.ReadClips`).

    The prefixes depend on frozen weights only. Keys and values depend on the adapter too: they are computed when
    something is first generated, and must not be used for generation after a step of the optimizer. graphs: see
    `continue_branches`.
    """

    model: PreTrainedModel
    chat: Chat
    clips: Sequence[Clip]
    prefixes: Sequence[ClipPrefix]
    graphs: bool = False
    _kv_cache: KVCache | None = field(default=None, init=False, repr=False)

    def generate(
        self, requests: Sequence[GenerateRequest], sampling: Sampling, thoughts: Thoughts | None = None
    ) -> list[Continuation]:
        thinking = thoughts is not None
        prompts = [
            self.chat.prompt_ids(request.prompt, self.prefixes[request.clip], thinking=thinking) for request in requests
        ]
        if thoughts:
            prompts = [(*ids, *more) for ids, more in zip(prompts, thoughts.ids, strict=True)]
        ends, banned = self.chat.stops(thinking=thoughts is not None and not thoughts.closed)
        with fused_adapter(self.model):
            if self._kv_cache is None:
                self._kv_cache = fill_kv_cache(self.model, self.chat.family, self.prefixes)
            return continue_branches(
                self.model,
                self.chat.family,
                self._kv_cache,
                clips=[request.clip for request in requests],
                prompts=prompts,
                seeds=[request.seed for request in requests],
                sampling=sampling,
                end_ids=ends,
                banned_ids=torch.tensor(banned, device=self.model.device),
                graphs=self.graphs,
            )

    def score(self, requests: Sequence[ResponseIds]) -> ResponseScores:
        order, by_clip = self._by_clip(requests)
        clips = [index for index, group in enumerate(by_clip) if group]
        # With gradients the caller decides on the memory: all requests stay in memory for one backward pass.
        behind = max(_tokens(group) for group in by_clip)
        at_once = len(clips) if torch.is_grad_enabled() else clips_at_once(self.prefixes, behind)
        parts = [
            score_packed(self.model, self.chat.family, [self.prefixes[i] for i in some], [by_clip[i] for i in some])
            for some in (clips[start : start + at_once] for start in range(0, len(clips), at_once))
        ]
        index = torch.tensor(order, device=self.model.device)
        logps = torch.cat([part.logps for part in parts])[index]
        return ResponseScores(logps, torch.cat([part.lengths for part in parts])[index])

    def length(self, clip: int, prompt: Prompt) -> int:
        return len(self.prefixes[clip]) + len(self._prompt_ids(clip, prompt))

    def tokenize(self, request: ResponseIds) -> TokenizedRequest:
        """The token ids of a request behind the prefix of its clip.

        Raises SaviError for a prompt that the chat template can't write behind that prefix.
        """
        return TokenizedRequest(self._prompt_ids(request.clip, request.prompt), request.responses)

    def _prompt_ids(self, clip: int, prompt: Prompt) -> tuple[int, ...]:
        if opening(prompt) != _opening(self.clips[clip]):
            raise ValueError(f"clip {self.clips[clip].id} was encoded behind another text than that of the prompt")
        return self.chat.prompt_ids(prompt, self.prefixes[clip])

    def _by_clip(self, requests: Sequence[ResponseIds]) -> tuple[list[int], list[list[TokenizedRequest]]]:
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


def _tokens(requests: Sequence[TokenizedRequest]) -> int:
    """At most so many tokens are read for the requests about a clip; fewer if one begins with another one."""
    return sum(len(request.prompt) + sum(map(len, request.responses)) for request in requests)


def _opening(clip: Clip) -> Conversation:
    """What comes before the video in the conversations about a clip."""
    return clip.opening if isinstance(clip, OpenedClip) else ()
