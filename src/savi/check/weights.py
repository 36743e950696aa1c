"""Checks of a checkpoint with its weights: are shared clips, drawn tokens and greedy text what the plain model says?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from savi.check.files import noise
from savi.check.report import Finding
from savi.inference import GenerateRequest
from savi.models.adapters import LoraSettings, attach_lora
from savi.models.load import BaseSettings, load_base
from savi.models.plain import TOLERANCE, PlainClips
from savi.models.sharing import ReadClips, ResponseIds
from savi.models.video_lm import VideoLM
from savi.types import Clip, Sampling

PROMPT = "What happens first?"
REPLIES = ("It moves to the left.", "Nothing happens at all.")
REPORT = "please report it with the output of --json; model.base.dtype float32 tells whether it is arithmetic"
TOKENS = 12


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
    yield _sampled(model, shared)
    yield _greedy(shared, plain)


def _packed(model: VideoLM, shared: ReadClips, plain: PlainClips) -> Finding:
    responses = tuple(tuple(model.chat.response_ids(reply)) for reply in REPLIES)
    request = ResponseIds(0, PROMPT, responses)
    return _compare(
        "shared scores", "plain ones", shared.score([request]).logps, plain.score([request]).logps, model.model.dtype
    )


def _sampled(model: VideoLM, shared: ReadClips) -> Finding:
    request = GenerateRequest(0, PROMPT, seed=1)
    (drawn,) = shared.generate([request], Sampling(max_new_tokens=TOKENS))
    # A reply doesn't tell which of the end tokens it ended with: it is the one with its log-probability.
    ends = [(end,) for end in sorted(model.chat.end_ids)] if drawn.finished else [()]
    scored = shared.score([ResponseIds(0, PROMPT, tuple((*drawn.ids, *end) for end in ends))]).logps.cpu()
    nearest = scored[(scored - drawn.logp).abs().argmin()][None]
    return _compare("sampled tokens", "scores", torch.tensor([drawn.logp]), nearest, model.model.dtype)


def _greedy(shared: ReadClips, plain: PlainClips) -> Finding:
    request, greedy = GenerateRequest(0, PROMPT), Sampling(temperature=0.0, max_new_tokens=TOKENS)
    (ours,), (theirs,) = shared.generate([request], greedy), plain.generate([request], greedy)
    same = next((at for at, (a, b) in enumerate(zip(ours.ids, theirs.ids, strict=False)) if a != b), None)
    if same is None and len(ours.ids) == len(theirs.ids):
        return Finding("greedy text", True, f"equal to that of generate, {len(ours.ids)} tokens")
    return Finding("greedy text", False, f"differs from that of generate at token {same}", REPORT)


def _compare(name: str, other: str, ours: torch.Tensor, theirs: torch.Tensor, dtype: torch.dtype) -> Finding:
    """Log-probabilities that must be equal up to the arithmetic of a precision."""
    if not (ours.isfinite().all() and theirs.isfinite().all()):
        return Finding(name, False, f"{ours.tolist()} against {theirs.tolist()}: not finite", REPORT)
    share = ((ours - theirs).abs() / theirs.abs()).max().item()
    allowed = TOLERANCE[dtype]
    says = f"differ from {other} by {share:.1e} of their value"
    return Finding(name, share <= allowed, says, "" if share <= allowed else REPORT)
