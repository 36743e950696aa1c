"""Clips that are read anew for each prompt: for models whose layers can't share one. Slower, and of any family.

Scores come from the model's public forward, one row per response, and replies from its `generate`, one batch of rows
per clip. Nothing of the model is looked into, so this is also what the tests hold the other ways against.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, PreTrainedModel

from savi.conversations import Prompt
from savi.inference import GenerateRequest, ResponseScores
from savi.models.chat import Chat
from savi.models.drawing import draw_tokens, uniforms_of
from savi.models.family import TOKENS_AT_ONCE
from savi.models.fused_lora import fused_adapter
from savi.models.kv_cache import require_evaluation_mode
from savi.models.sharing import Continuation, ResponseIds, Thoughts
from savi.types import Clip, Frames, Sampling

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float16: 1e-2}
"""Of logits, or of log-probabilities of short responses, as a share of the largest: what arithmetic in this precision
explains."""

COMPARED = 3
"""Tokens that a model writes in a batch and alone before it is trusted with batches."""

Row = dict[str, Tensor]
"""What the processor makes of a chat, or of several: tensors by the names of the model's arguments."""


class PlainSharing:
    """Keeps nothing of a clip but its frames (implements :class:`savi.models.sharing.Sharing`).

    in_batches: whether `generate` gives the rows of a batch what it gives each alone. None until there was a batch.
    """

    def __init__(self, model: PreTrainedModel, chat: Chat) -> None:
        self.model = model
        self.chat = chat
        self.in_batches: bool | None = None

    def is_cached(self, clip: Clip) -> bool:
        return False

    def prepare(self, frames: Frames) -> Frames:
        return frames  # each prompt has a row of its own

    def read(self, clips: Sequence[Clip], frames: Sequence[Frames | None]) -> PlainClips:
        given = [clip_frames for clip_frames in frames if clip_frames is not None]
        if len(given) < len(clips):
            raise RuntimeError("a model that reads its clips anew for each prompt needs their frames")
        return PlainClips(self.model, self.chat, given, self)


@dataclass
class PlainClips:
    """Clips as frames (implements :class:`savi.models.sharing.ReadClips`). sharing: None to write one by one."""

    model: PreTrainedModel
    chat: Chat
    frames: Sequence[Frames]
    sharing: PlainSharing | None = None

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
        device = self.model.device
        stops, banned = torch.tensor(ends, device=device), torch.tensor(banned_ids, device=device)
        begun = thoughts.ids if thoughts else [()] * len(requests)
        written: dict[int, Continuation] = {}
        with _generation_config(self.model, config), fused_adapter(self.model):
            for clip in sorted({request.clip for request in requests}):
                own = [index for index, request in enumerate(requests) if request.clip == clip]
                rows = [
                    append(self.row(clip, requests[index].prompt, thinking=thoughts is not None), begun[index])
                    for index in own
                ]
                at_once = self._at_once(rows, ends[0])
                for first in range(0, len(own), at_once):
                    batch = own[first : first + at_once]
                    uniforms = uniforms_of([requests[index].seed for index in batch], sampling, device)
                    draws = _Draws(uniforms, sampling, banned, stops)
                    inputs = together(rows[first : first + at_once], ends[0])
                    ids = self.model.generate(**inputs, logits_processor=LogitsProcessorList([draws]))
                    written.update(zip(batch, draws.continuations(ids, end_ids), strict=True))
        return [written[index] for index in range(len(requests))]

    def _at_once(self, rows: Sequence[Row], filler: int) -> int:
        """How many of a clip's rows `generate` takes as one batch. The first batch of all is compared with its rows."""
        most = max(1, TOKENS_AT_ONCE // max(row["input_ids"].shape[1] for row in rows))
        if self.sharing is None or len(rows) == 1 or most == 1:
            return 1
        if self.sharing.in_batches is None:
            self.sharing.in_batches = writes_in_batches(self.model, rows, filler)
        return most if self.sharing.in_batches else 1

    def length(self, clip: int, prompt: Prompt) -> int:
        return int(self.row(clip, prompt)["input_ids"].shape[1])

    def row(self, clip: int, prompt: Prompt, *, thinking: bool = False) -> Row:
        """What the processor makes of a prompt's whole chat, on the model's device.

        Raises SaviError for a prompt that the chat template can't write.
        """
        chat = self.chat
        text = chat.text(prompt, thinking=thinking)
        chat.check_written(prompt, text)
        inputs = chat.family.video_inputs(chat.processor, text, self.frames[clip])
        return {name: value.to(self.model.device) for name, value in inputs.items()}


class _Draws(LogitsProcessor):
    """Draws the tokens of a batch itself, and leaves `generate` no other choice at each step.

    step: how many tokens have been drawn. logps: float64 (rows,), the summed log-probability of each reply under the
    untempered model. writing: bool (rows,), replies that have not ended.
    """

    def __init__(self, uniforms: Tensor, sampling: Sampling, banned_ids: Tensor, ends: Tensor) -> None:
        self.uniforms = uniforms
        self.sampling = sampling
        self.banned_ids = banned_ids
        self.ends = ends
        self.step = 0
        self.logps = torch.zeros_like(uniforms[:, 0])
        self.writing = torch.ones_like(self.logps, dtype=torch.bool)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        logits = scores.float()
        tokens = draw_tokens(logits, self.uniforms[:, self.step], self.sampling, self.banned_ids)
        logps = logits.gather(-1, tokens[:, None])[:, 0] - logits.logsumexp(-1)
        self.logps += logps.where(self.writing, 0.0)
        self.writing &= ~torch.isin(tokens, self.ends)
        self.step += 1
        return torch.full_like(logits, -torch.inf).scatter(-1, tokens[:, None], 0.0)

    def continuations(self, ids: Tensor, end_ids: frozenset[int]) -> list[Continuation]:
        """The replies in what `generate` has returned, int64 (rows, tokens), where ends are followed by filling."""
        written = []
        for row, logp in zip(ids[:, -self.step :].tolist(), self.logps.tolist(), strict=True):
            length = next((index for index, token in enumerate(row) if token in end_ids), len(row))
            written.append(Continuation(tuple(row[:length]), logp, length < len(row)))
        return written


@contextmanager
def _generation_config(model: PreTrainedModel, config: GenerationConfig) -> Iterator[None]:
    """The checkpoint's own, with penalties and the like, would change what is drawn: it fills in what is left open."""
    own = model.generation_config
    model.generation_config = config
    try:
        yield
    finally:
        model.generation_config = own


def response_logp(model: PreTrainedModel, row: Row, length: int) -> Tensor:
    """The summed log-probability, float32, of a row's last `length` tokens."""
    # Logits of a whole clip would take a gigabyte where the vocabulary is large.
    takes = inspect.signature(model.forward).parameters
    few = {"logits_to_keep": length + 1} if "logits_to_keep" in takes else {}
    logits = model(**row, use_cache=False, **few).logits[0, -length - 1 : -1]
    targets = row["input_ids"][0, -length:]
    summed: Tensor = logits.float().log_softmax(-1).gather(-1, targets[:, None]).sum()
    return summed


def together(rows: Sequence[Row], filler: int) -> Row:
    """Rows about one clip as a batch, padded on the left. filler: a text token for where none is attended to."""
    if len(rows) == 1:
        return dict(rows[0])
    longest = max(row["input_ids"].shape[1] for row in rows)
    padded: list[Row] = []
    for row in rows:
        ids = row["input_ids"]
        missing = longest - ids.shape[1]
        attended = {"attention_mask": torch.ones_like(ids), **row}
        padded.append(
            {name: pad(part, (missing, 0)) if part.shape == ids.shape else part for name, part in attended.items()}
        )
        padded[-1]["input_ids"][:, :missing] = filler
    return {name: torch.cat([row[name] for row in padded]) for name in padded[0]}


def writes_in_batches(model: PreTrainedModel, rows: Sequence[Row], filler: int) -> bool:
    """Whether a model gives the shortest row the logits of its first tokens next to the longest one as it does alone.

    The longest one is longer by a few tokens more, so that the shortest is padded where all are of one length.
    """
    kept = {"output_logits": True, "return_dict_in_generate": True}
    first = GenerationConfig(max_new_tokens=COMPARED, pad_token_id=filler, **kept)
    shortest, *_, longest = sorted(rows, key=lambda row: row["input_ids"].shape[1])
    longer = append(longest, [filler] * COMPARED)
    try:
        batch, alone = (
            torch.stack([step[0] for step in model.generate(**together(some, filler), generation_config=first).logits])
            for some in ([shortest, longer], [shortest])
        )
    except torch.OutOfMemoryError:
        raise
    except Exception:  # whatever a model makes of a batch that it wasn't written for
        return False
    batch = batch[: len(alone)].float()  # alone, the row may end before the other one does
    return bool((batch - alone).abs().max() <= TOLERANCE[model.dtype] * alone.abs().max())


def append(inputs: Row, ids: Sequence[int]) -> Row:
    """A row of processor outputs with text tokens behind it."""
    row = inputs["input_ids"]
    more = {name: value.new_zeros(1, len(ids)) for name, value in inputs.items() if value.shape == row.shape}
    more["input_ids"] = row.new_tensor([ids])
    if "attention_mask" in more:
        more["attention_mask"] += 1
    return {name: torch.cat([value, more[name]], 1) if name in more else value for name, value in inputs.items()}
