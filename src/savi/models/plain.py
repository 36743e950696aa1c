"""Clips that are read anew for each prompt: for models whose layers can't share one. Slower, and of any family.

Scores come from the model's public forward, one row per response, and replies from its `generate`. Nothing of the
model is looked into, so this is also what the tests hold the other ways against.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, PreTrainedModel

from savi.conversations import Prompt
from savi.inference import GenerateRequest, ResponseScores
from savi.models.chat import Chat
from savi.models.drawing import draw_tokens, uniforms_of
from savi.models.kv_cache import require_evaluation_mode
from savi.models.sharing import Continuation, ResponseIds, Thoughts
from savi.types import Clip, Frames, Sampling


class PlainSharing:
    """Keeps nothing of a clip but its frames (implements :class:`savi.models.sharing.Sharing`)."""

    def __init__(self, model: PreTrainedModel, chat: Chat) -> None:
        self.model = model
        self.chat = chat

    def is_cached(self, clip: Clip) -> bool:
        return False

    def read(self, clips: Sequence[Clip], frames: Sequence[Frames | None]) -> PlainClips:
        given = [clip_frames for clip_frames in frames if clip_frames is not None]
        if len(given) < len(clips):
            raise RuntimeError("a model that reads its clips anew for each prompt needs their frames")
        return PlainClips(self.model, self.chat, given)


@dataclass
class PlainClips:
    """Clips as frames (implements :class:`savi.models.sharing.ReadClips`)."""

    model: PreTrainedModel
    chat: Chat
    frames: Sequence[Frames]

    def score(self, requests: Sequence[ResponseIds]) -> ResponseScores:
        sums, lengths = [], []
        for request in requests:
            row = self.row(request.clip, request.prompt)
            for response in request.responses:
                sums.append(response_logp(self.model, append(row, response), len(response)))
                lengths.append(len(response))
        return ResponseScores(torch.stack(sums), torch.tensor(lengths, device=self.model.device))

    @torch.no_grad()
    def generate(
        self, requests: Sequence[GenerateRequest], sampling: Sampling, thoughts: Thoughts | None = None
    ) -> list[Continuation]:
        require_evaluation_mode(self.model)
        end_ids, banned_ids = self.chat.stops(thinking=thoughts is not None and not thoughts.closed)
        ends = sorted(end_ids)
        config = GenerationConfig(max_new_tokens=sampling.max_new_tokens, eos_token_id=ends, pad_token_id=ends[0])
        banned = torch.tensor(banned_ids, device=self.model.device)
        begun = thoughts.ids if thoughts else [()] * len(requests)
        written = []
        with _generation_config(self.model, config):
            for request, ids_before in zip(requests, begun, strict=True):
                draws = _Draws(uniforms_of([request.seed], sampling, self.model.device), sampling, banned)
                row = append(self.row(request.clip, request.prompt, thinking=thoughts is not None), ids_before)
                rows = self.model.generate(**row, logits_processor=LogitsProcessorList([draws]))
                ids = rows[0, -draws.step :].tolist()
                finished = ids[-1] in end_ids
                written.append(Continuation(tuple(ids[:-1] if finished else ids), draws.logp, finished))
        return written

    def length(self, clip: int, prompt: Prompt) -> int:
        return int(self.row(clip, prompt)["input_ids"].shape[1])

    def row(self, clip: int, prompt: Prompt, *, thinking: bool = False) -> dict[str, Tensor]:
        """What the processor makes of a prompt's whole chat, on the model's device.

        Raises SaviError for a prompt that the chat template can't write.
        """
        chat = self.chat
        text = chat.text(prompt, thinking=thinking)
        chat.check_written(prompt, text)
        inputs = chat.family.video_inputs(chat.processor, text, self.frames[clip])
        return {name: value.to(self.model.device) for name, value in inputs.items()}


class _Draws(LogitsProcessor):
    """Draws a row's tokens itself, and leaves `generate` no other choice at each step.

    step: how many tokens have been drawn. logp: their summed log-probability under the untempered model.
    """

    def __init__(self, uniforms: Tensor, sampling: Sampling, banned_ids: Tensor) -> None:
        self.uniforms = uniforms
        self.sampling = sampling
        self.banned_ids = banned_ids
        self.step = 0
        self.logp = 0.0

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        logits = scores.float()
        tokens = draw_tokens(logits, self.uniforms[:, self.step], self.sampling, self.banned_ids)
        self.logp += (logits.gather(-1, tokens[:, None])[:, 0] - logits.logsumexp(-1)).item()
        self.step += 1
        return torch.full_like(logits, -torch.inf).scatter(-1, tokens[:, None], 0.0)


@contextmanager
def _generation_config(model: PreTrainedModel, config: GenerationConfig) -> Iterator[None]:
    """The checkpoint's own, with penalties and the like, would change what is drawn: it fills in what is left open."""
    own = model.generation_config
    model.generation_config = config
    try:
        yield
    finally:
        model.generation_config = own


def response_logp(model: PreTrainedModel, row: dict[str, Tensor], length: int) -> Tensor:
    """The summed log-probability, float32, of a row's last `length` tokens."""
    # Logits of a whole clip would take a gigabyte where the vocabulary is large.
    takes = inspect.signature(model.forward).parameters
    few = {"logits_to_keep": length + 1} if "logits_to_keep" in takes else {}
    logits = model(**row, use_cache=False, **few).logits[0, -length - 1 : -1]
    targets = row["input_ids"][0, -length:]
    summed: Tensor = logits.float().log_softmax(-1).gather(-1, targets[:, None]).sum()
    return summed


def append(inputs: dict[str, Tensor], ids: Sequence[int]) -> dict[str, Tensor]:
    """A row of processor outputs with text tokens behind it."""
    row = inputs["input_ids"]
    more = {name: value.new_zeros(1, len(ids)) for name, value in inputs.items() if value.shape == row.shape}
    more["input_ids"] = row.new_tensor([ids])
    if "attention_mask" in more:
        more["attention_mask"] += 1
    return {name: torch.cat([value, more[name]], 1) if name in more else value for name, value in inputs.items()}
