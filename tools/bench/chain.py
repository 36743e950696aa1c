"""The critique chain of a clip, four turns, against transformers' `generate` turn by turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from savi.inference import GenerateRequest
from savi.models.attention import TREE_ATTENTION
from savi.models.video_lm import VideoLM
from savi.types import Clip, Frames, Sampling
from tools.bench.meters import Meter
from tools.bench.workload import QUESTIONS, letters


@dataclass(frozen=True)
class ChainTurn:
    """branches: prompts of a turn. prompt: characters, growing as the turns quote each other. reply: tokens at most."""

    name: str
    branches: int
    prompt: int
    reply: int


CLIPS = 4
"""That savi takes through the chain together, as data.generation_batch_clips says in an experiment."""

TURNS = (
    ChainTurn("question", 2, 64, 64),
    ChainTurn("answer", QUESTIONS, 32, 32),
    ChainTurn("critique", QUESTIONS, 96, 64),
    ChainTurn("revision", QUESTIONS, 160, 32),
)


def prompts(turn: ChainTurn, seed: int) -> list[str]:
    """Fixed, so that a reply that differed would not change the next turn's work; their lengths are a real chain's."""
    return [letters(turn.prompt - index, seed, turn.name, index) for index in range(turn.branches)]


def run(lm: VideoLM, clips: Sequence[Clip], frames: Sequence[Frames], meter: Meter) -> list[list[str]]:
    """savi's way, from the frames on, clips together: the replies of each turn about the first clip."""
    replies = []
    with meter:
        session = lm.encode(clips, frames)
        for turn in TURNS:
            requests = [GenerateRequest(clip, prompt) for clip in range(len(clips)) for prompt in prompts(turn, 0)]
            written = session.generate(requests, Sampling(temperature=0.0, max_new_tokens=turn.reply))
            replies.append([reply.text for reply in written[: turn.branches]])
    return replies


class Generate:
    """transformers' way, its inputs made beforehand.

    batched: one call a turn, over the clip's questions. Otherwise one call a question and turn.
    """

    def __init__(self, lm: VideoLM, frames: Frames, batched: bool) -> None:
        self.lm = lm
        self.turns = [(turn, self._inputs(turn, frames, batched)) for turn in TURNS]

    def run(self, meter: Meter) -> list[list[str]]:
        """From the processor's outputs on, with transformers' own attention: the replies of each turn."""
        decoder: Any = self.lm.family.language_model(self.lm.model)
        decoder.set_attn_implementation("sdpa")
        with meter:
            written = [[self._generate(inputs, turn.reply) for inputs in calls] for turn, calls in self.turns]
        decoder.set_attn_implementation(TREE_ATTENTION)
        return [[self.lm.chat.decode(row) for ids in calls for row in ids] for calls in written]

    def _generate(self, inputs: dict[str, Tensor], limit: int) -> Tensor:
        with torch.no_grad():
            ids: Tensor = self.lm.model.generate(
                **inputs, do_sample=False, max_new_tokens=limit, suppress_tokens=list(self.lm.chat.banned_ids)
            )
        return ids[:, inputs["input_ids"].shape[1] :]

    def _inputs(self, turn: ChainTurn, frames: Frames, batched: bool) -> list[dict[str, Tensor]]:
        lm = self.lm
        rows = [lm.family.video_inputs(lm.processor, lm.chat.text(prompt), frames) for prompt in prompts(turn, 0)]
        calls = [rows] if batched else [[row] for row in rows]
        batches = [_left_padded(call, lm.processor.tokenizer.pad_token_id) for call in calls]
        return [{name: value.to(lm.device) for name, value in batch.items()} for batch in batches]


def _left_padded(rows: list[dict[str, Any]], pad_id: int) -> dict[str, Tensor]:
    """Rows of processor outputs in one batch, as `processor(..., padding=True, padding_side="left")` makes it."""
    width = max(row["input_ids"].shape[1] for row in rows)
    batch = {}
    for name, first in rows[0].items():
        parts = [row[name] for row in rows]
        if first.shape == rows[0]["input_ids"].shape:
            fill = pad_id if name == "input_ids" else 0
            parts = [torch.nn.functional.pad(part, (width - part.shape[1], 0), value=fill) for part in parts]
        batch[name] = torch.cat(parts)
    return batch
