"""A model of a type that savi has no record of, tried out on a few frames: may its questions share a clip?"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import PreTrainedModel, ProcessorMixin

from savi.models.chat import Chat
from savi.models.family import Family
from savi.models.packed import PackedClips
from savi.models.plain import PlainClips
from savi.models.prefix import NotSharedError, encode_prefix
from savi.models.sharing import ResponseIds
from savi.models.ways import Way
from savi.types import Clip, Frames

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 3e-2, torch.float16: 1e-2}
"""Of the log-probability of a short response, as a share of it: what arithmetic in this precision explains."""


def trial_frames() -> Frames:
    """Eight frames of 64 x 64 pixels within two seconds."""
    pixels = torch.arange(8 * 64 * 64 * 3).remainder(251).to(torch.uint8).view(8, 64, 64, 3)
    return Frames(pixels, tuple(index / 4 for index in range(8)), tuple(range(8)), fps=4.0, duration=2.0)


@torch.no_grad()
def tried_way(model: PreTrainedModel, processor: ProcessorMixin, family: Family, way: Way) -> Way:
    """The way itself if a packed score equals the plain one, else `plain`, with the reason."""
    chat, frames = Chat.of(model, processor, family), trial_frames()
    request = ResponseIds(0, "What is it?", (tuple(chat.response_ids("It is a cat.")),))
    plain = PlainClips(model, chat, [frames]).score([request]).logps
    try:
        prefix = encode_prefix(model, processor, family, chat.text(""), frames)
        packed = PackedClips(model, chat, [Clip("trial", Path())], [prefix]).score([request]).logps
    except NotSharedError as error:
        return Way("plain", str(error))
    if (packed - plain).abs() > TOLERANCE[model.dtype] * plain.abs():
        reason = f"a shared clip gave a log-probability of {packed.item():.2f} in a trial, not {plain.item():.2f}"
        return Way("plain", reason)
    return way
