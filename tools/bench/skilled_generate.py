"""The chain by transformers' `generate` as a skilled user runs it: from a copy of the clips' cache, clips together.

The replies of a chain are of unlike lengths. A random model ends none of its own, so each reply is given a length, the
same on both sides: no token but the one at its end may be an end.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from transformers import DynamicCache, LogitsProcessor, LogitsProcessorList

from savi.inference import GenerateRequest
from savi.models import generate
from savi.models.attention import TREE_ATTENTION
from savi.models.drawing import draw_tokens
from savi.models.video_lm import VideoLM
from savi.types import Clip, Frames, Sampling
from tools.bench.chain import TURNS, ChainTurn, prompts
from tools.bench.meters import Meter

SHORTEST, LONGEST = 10, 120
"""Tokens of a reply. Lengths are lognormal, 95 % of them between the two; the others are cut to these."""


def turns(questions: int) -> list[ChainTurn]:
    """The turns of a chain with so many questions about a clip. A reply of the first turn has three questions."""
    return [replace(turn, branches=-(-questions // 3) if turn.name == "question" else questions) for turn in TURNS]


def reply_lengths(turn: ChainTurn, clips: int, seed: int) -> list[int]:
    """Of a turn's replies, clip by clip."""
    source = random.Random(f"{seed} {turn.name}")
    middle, spread = math.sqrt(SHORTEST * LONGEST), math.log(LONGEST / SHORTEST) / 4
    drawn = (source.lognormvariate(math.log(middle), spread) for _ in range(clips * turn.branches))
    return [min(max(round(length), SHORTEST), LONGEST) for length in drawn]


def run(lm: VideoLM, clips: Sequence[Clip], frames: Sequence[Frames], questions: int, meter: Meter) -> list[str]:
    """savi's way, from the frames on: the replies of all turns, clip by clip."""
    written = []
    with meter:
        session = lm.encode(clips, frames)
        for turn in turns(questions):
            lengths = reply_lengths(turn, len(clips), 0)
            requests = [GenerateRequest(clip, prompt) for clip in range(len(clips)) for prompt in prompts(turn, clip)]
            with _ends_at(lengths, min(lm.chat.end_ids)):
                replies = session.generate(requests, Sampling(temperature=0.0, max_new_tokens=max(lengths) + 1))
            written += [reply.text for reply in replies]
    return written


@contextmanager
def _ends_at(lengths: Sequence[int], end: int) -> Iterator[None]:
    """Give each reply of one call of savi's writing a length.

    Those that are written still are in their order, and for a while those that have ended.
    """
    step = 0

    def draw(logits: Tensor, uniforms: Tensor, sampling: Sampling, banned_ids: Tensor) -> Tensor:
        nonlocal step
        alive = torch.tensor([length for length in lengths if length >= step - generate.lag(logits.device)])
        if len(alive) != len(logits):
            raise RuntimeError(f"{len(logits)} replies are being written, not {len(alive)}")
        banned_ids = torch.cat([banned_ids, banned_ids.new_tensor([end])])
        tokens = draw_tokens(logits, uniforms, sampling, banned_ids)
        tokens = tokens.where((alive != step).to(tokens.device), end)
        step += 1
        return tokens

    with patch.object(generate, "draw_tokens", draw):
        yield


class EndAt(LogitsProcessor):
    """Lets each row end behind so many new tokens, and not before. start: tokens of a row when writing begins."""

    def __init__(self, lengths: Sequence[int], start: int, end: int, device: torch.device) -> None:
        self.lengths = torch.tensor(lengths, device=device)
        self.start = start
        self.end = end

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        ends = (self.lengths == input_ids.shape[1] - self.start)[:, None]
        scores = scores.masked_fill(ends, -torch.inf)
        scores[:, self.end] = torch.where(ends[:, 0], 0.0, -torch.inf)
        return scores


class CachedGenerate:
    """transformers' way: one prefix cache of all clips, a copy of it per turn, one `generate` for all questions."""

    def __init__(self, lm: VideoLM) -> None:
        self.lm = lm
        self.model: Any = lm.model
        self.tokenizer = lm.processor.tokenizer
        self.visual: int = self.tokenizer.convert_tokens_to_ids(lm.family.video_token(lm.processor))
        self.end = min(lm.chat.end_ids)

    def run(self, frames: Sequence[Frames], questions: int, meter: Meter) -> list[str]:
        """As run(), with transformers' own attention. The clips have equally many visual tokens."""
        decoder: Any = self.lm.family.language_model(self.lm.model)
        decoder.set_attn_implementation("sdpa")
        with meter, torch.no_grad():
            prefix, cache = self._read(frames)
            written = [text for turn in turns(questions) for text in self._write(turn, len(frames), prefix, cache)]
        decoder.set_attn_implementation(TREE_ATTENTION)
        return written

    def _read(self, frames: Sequence[Frames]) -> tuple[dict[str, Tensor], DynamicCache]:
        """The clips' rows up to the last visual token, and the keys and values of these."""
        lm = self.lm
        rows = [lm.family.video_inputs(lm.processor, lm.chat.text(""), one) for one in frames]
        whole = {name: torch.cat([row[name] for row in rows]).to(lm.device) for name in rows[0]}
        shape = whole["input_ids"].shape
        length = int((whole["input_ids"][0] == self.visual).nonzero()[-1]) + 1
        prefix = {name: value[:, :length] if value.shape == shape else value for name, value in whole.items()}
        cache = DynamicCache()
        self.model(**prefix, past_key_values=cache, use_cache=True, logits_to_keep=1)
        return prefix, cache

    def _write(self, turn: ChainTurn, clips: int, prefix: dict[str, Tensor], cache: DynamicCache) -> list[str]:
        behind = [self._behind(prompt) for clip in range(clips) for prompt in prompts(turn, clip)]
        longest = max(map(len, behind))
        padding = torch.tensor([longest - len(ids) for ids in behind])
        filled = [[self.tokenizer.pad_token_id] * (longest - len(ids)) + ids for ids in behind]
        known = prefix["input_ids"].repeat_interleave(turn.branches, dim=0)
        ids = torch.cat([known, torch.tensor(filled, device=known.device)], dim=1)
        attended = torch.arange(longest) >= padding[:, None]
        mask = torch.cat([torch.ones_like(known), attended.long().to(known.device)], dim=1)
        copied = copy.deepcopy(cache)
        copied.batch_repeat_interleave(turn.branches)
        self.model.model.rope_deltas = self._delta(prefix).expand(len(ids), 1)
        lengths = reply_lengths(turn, clips, 0)
        written = self.model.generate(
            input_ids=ids,
            attention_mask=mask,
            past_key_values=copied,
            do_sample=False,
            max_new_tokens=max(lengths) + 1,
            suppress_tokens=list(self.lm.chat.banned_ids),
            logits_processor=LogitsProcessorList([EndAt(lengths, ids.shape[1], self.end, ids.device)]),
        )
        rows = written[:, ids.shape[1] :].tolist()
        return [self.lm.chat.decode(row[:length]) for row, length in zip(rows, lengths, strict=True)]

    def _behind(self, prompt: str) -> list[int]:
        """Token ids of a chat behind its video."""
        ids: list[int] = self.tokenizer(self.lm.chat.text(prompt), add_special_tokens=False).input_ids
        return ids[ids.index(self.visual) + 1 :]

    def _delta(self, prefix: dict[str, Tensor]) -> Tensor:
        """How far the positions of text behind a clip are ahead of its tokens, int64 (1, 1).

        transformers takes it from the largest position so far. In a row that ends with the clip that is the time of the
        last frame, not the place where the text goes on. One token of text behind the clip tells the place.
        """
        row = {name: value[:1] for name, value in prefix.items() if name != "pixel_values_videos"}
        for name, value in (("input_ids", self.end), ("mm_token_type_ids", 0), ("attention_mask", 1)):
            row[name] = torch.cat([row[name], row[name].new_tensor([[value]])], dim=1)
        positions, _ = self.model.model.get_rope_index(**row)
        return (positions[:1, :, -1] + 1 - row["input_ids"].shape[1]).reshape(1, 1)
