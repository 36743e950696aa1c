"""Checks of a checkpoint with its weights: are shared clips, drawn tokens and greedy text what the plain model says?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from savi.inference import GenerateRequest
from savi.models.adapters import LoraSettings, attach_lora
from savi.models.load import BaseSettings, load_base
from savi.models.plain import PlainClips
from savi.models.self_checks import PROMPTS, REPORT, TOKENS, Finding, compare, noise, sampled_tokens
from savi.models.sharing import ReadClips, ResponseIds
from savi.models.video_lm import VideoLM
from savi.types import Clip, Sampling

PROMPT = PROMPTS[0]
REPLIES = ("It moves to the left.", "Nothing happens at all.")


@torch.no_grad()
def check_weights(settings: BaseSettings, frames: int, height: int, width: int) -> Iterator[Finding]:
    """Load the base, with an adapter that changes nothing yet, and ask it about a clip of noise."""
    base = load_base(settings, frames)
    model = VideoLM(base, attach_lora(base.model, base.family, LoraSettings()).eval())
    if torch.cuda.is_available() and not settings.nf4:
        base.model.to("cuda")
    clip = noise(frames, height, width)
    shared = model.encode([Clip("noise", Path("noise"))], [clip]).read
    plain = PlainClips(model.model, model.chat, [clip])
    yield _packed(model, shared, plain)
    yield sampled_tokens(model, shared)
    yield _greedy(shared, plain)


def _packed(model: VideoLM, shared: ReadClips, plain: PlainClips) -> Finding:
    responses = tuple(tuple(model.chat.response_ids(reply)) for reply in REPLIES)
    request = ResponseIds(0, PROMPT, responses)
    return compare(
        "shared scores",
        "plain ones",
        shared.score([request]).logps,
        plain.score([request]).logps,
        min(map(len, responses)),
        model.model.dtype,
    )


def _greedy(shared: ReadClips, plain: PlainClips) -> Finding:
    request, greedy = GenerateRequest(0, PROMPT), Sampling(temperature=0.0, max_new_tokens=TOKENS)
    (ours,), (theirs,) = shared.generate([request], greedy), plain.generate([request], greedy)
    same = next((at for at, (a, b) in enumerate(zip(ours.ids, theirs.ids, strict=False)) if a != b), None)
    if same is None and len(ours.ids) == len(theirs.ids):
        return Finding("greedy text", True, f"equal to that of generate, {len(ours.ids)} tokens")
    return Finding("greedy text", False, f"differs from that of generate at token {same}", REPORT)
