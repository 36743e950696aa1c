"""A model of a type that savi has no record of, tried out on a few frames: may its questions share a clip?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import PreTrainedConfig, PreTrainedModel, ProcessorMixin

from savi.models.chat import Chat
from savi.models.family import Family
from savi.models.generate import continue_branches
from savi.models.hub import first_line
from savi.models.kv_cache import fill_kv_cache
from savi.models.packed import PackedClips
from savi.models.plain import TOLERANCE, PlainClips
from savi.models.prefix import NotSharedError, encode_prefix
from savi.models.sharing import ResponseIds
from savi.models.ways import Way
from savi.types import Clip, Frames, Sampling

PROMPT, WRITTEN, WINDOW = "What is it?", 8, 8
"""WRITTEN, WINDOW: tokens. A window that is longer than the trial's row would tell nothing."""


def trial_frames() -> Frames:
    """Eight frames of 64 x 64 pixels within two seconds."""
    pixels = torch.arange(8 * 64 * 64 * 3).remainder(251).to(torch.uint8).view(8, 64, 64, 3)
    return Frames(pixels, tuple(index / 4 for index in range(8)), tuple(range(8)), fps=4.0, duration=2.0)


@torch.no_grad()
def tried_way(model: PreTrainedModel, processor: ProcessorMixin, family: Family, way: Way) -> Way:
    """The way itself if shared scores equal plain ones, of a response and of what it writes, else `plain` and why."""
    try:
        with _short_windows(family.language_model(model).config):
            shared, plain = _scores(model, Chat.of(model, processor, family))
    except NotSharedError as error:
        return Way("plain", str(error))
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # whatever a decoder makes of inputs that it wasn't written for
        return Way("plain", f"A shared clip failed in a trial ({first_line(error)})")
    for ours, theirs in zip(shared, plain, strict=True):
        if not abs(ours - theirs) <= TOLERANCE[model.dtype] * max(map(abs, plain)):
            return Way("plain", f"A shared clip gave a log-probability of {ours:.2f} in a trial, not {theirs:.2f}")
    return way


def _scores(model: PreTrainedModel, chat: Chat) -> tuple[list[float], list[float]]:
    """Log-probabilities, shared and plain: of a response, and of a greedy reply as it was written and as it scores."""
    frames = trial_frames()
    prefix = encode_prefix(model, chat.processor, chat.family, chat.text(""), frames)
    packed = PackedClips(model, chat, [Clip("trial", Path())], [prefix])
    greedy, endless = Sampling(temperature=0, max_new_tokens=WRITTEN), frozenset[int]()
    cache, nothing = fill_kv_cache(model, chat.family, [prefix]), torch.tensor([], dtype=torch.int64)
    prompt = chat.prompt_ids(PROMPT, prefix)
    (reply,) = continue_branches(
        model, chat.family, cache, [0], [prompt], [0], greedy, endless, nothing.to(model.device)
    )
    responses = ResponseIds(0, PROMPT, (tuple(chat.response_ids("It is a cat.")), reply.ids))
    plain = PlainClips(model, chat, [frames]).score([responses]).logps.tolist()
    return [*packed.score([responses]).logps.tolist(), reply.logp], [*plain, plain[-1]]


@contextmanager
def _short_windows(text: PreTrainedConfig) -> Iterator[None]:
    own = getattr(text, "sliding_window", None)
    if own:
        text.sliding_window = min(own, WINDOW)
    try:
        yield
    finally:
        if own:
            text.sliding_window = own
