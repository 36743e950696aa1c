"""The DPO step of a run (savi.alignment.step) over one clip's pairs, with a plain AdamW."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from savi.alignment.step import take_step
from savi.data.batches import MicroBatch, OptimizerStep
from savi.inference import ScoreRequest
from savi.models.packed import PackedClips
from savi.models.session import tokenized
from savi.models.tree import build_tree
from savi.models.video_lm import VideoLM
from savi.objective.dpo import DPOSettings
from savi.types import Clip, Frames, PreferencePair
from tools.bench.meters import Meter
from tools.bench.workload import Shape


def reference(lm: VideoLM, clip: Clip, frames: Frames, requests: Sequence[ScoreRequest]) -> Tensor:
    """What the pair store keeps: (pairs, 2), under the frozen reference."""
    return lm.encode([clip], [frames]).score_reference(requests).logps.view(-1, 2)


def adamw(lm: VideoLM, lr: float) -> torch.optim.Optimizer:
    """As TRL configures it by default."""
    return torch.optim.AdamW([p for p in lm.peft_model.parameters() if p.requires_grad], lr=lr, weight_decay=0.0)


def batch(clip: Clip, frames: Frames, requests: Sequence[ScoreRequest], reference_logps: Tensor) -> OptimizerStep:
    """A clip's pairs as a run's step. reference_logps: (pairs, 2)."""
    pairs = tuple(
        PreferencePair(
            clip.id,
            str(clip.path),
            round=0,
            aspect="spatial",
            question="",
            prompt=request.prompt,
            chosen=request.responses[0],
            rejected=request.responses[1],
            critique="",
            reference_chosen_logp=chosen,
            reference_rejected_logp=rejected,
            seed=0,
            prompt_version="",
        )
        for request, (chosen, rejected) in zip(requests, reference_logps.tolist(), strict=True)
    )
    return OptimizerStep((MicroBatch((clip,), (frames,), (pairs,)),), len(pairs), 1)


def take(lm: VideoLM, optimizer: torch.optim.Optimizer, step: OptimizerStep) -> float:
    """One optimizer step on a clip's pairs, without a bound on the gradient; the loss before it."""
    means, _ = take_step(lm, optimizer, step, DPOSettings(beta=0.1))
    return means["loss"].item()


def train(
    lm: VideoLM, clip: Clip, frames: Frames, steps: Sequence[Sequence[ScoreRequest]], lr: float, meter: Meter
) -> list[float]:
    """The loss of each step, over one cached clip and pairs with known reference scores, as in a round."""
    optimizer = adamw(lm, lr)
    batches = [batch(clip, frames, requests, reference(lm, clip, frames, requests)) for requests in steps]
    losses = []
    for step in batches:
        with meter:
            losses.append(take(lm, optimizer, step))
    return losses


def prepare(lm: VideoLM, clip: Clip, frames: Frames, requests: Sequence[ScoreRequest], meter: Meter) -> None:
    """What is done once per round, before the steps: the pass of the vision tower and the pass of the reference."""
    unseen = replace(clip, id=f"{clip.id}, unseen")
    with meter:
        reference(lm, unseen, frames, requests)


def operations(lm: VideoLM, shape: Shape, clip: Clip, frames: Frames, requests: Sequence[ScoreRequest]) -> float:
    """Floating-point operations of one pass over a clip and its branches, by the formula.

    2 N n for the linear layers, 4 L d for each (token, token it sees), 2 d vocabulary for each position that is scored.
    What the last layer leaves out is counted, too.
    """
    read = lm.encode([clip], [frames]).read
    if not isinstance(read, PackedClips):
        raise TypeError("only clips that are shared have a formula")
    tree = build_tree([read.tokenize(tokenized(lm.chat, request)) for request in requests])
    prefix, branches = len(read.prefixes[0]), len(tree)
    seen = prefix * (prefix + 1) / 2 + branches * prefix + int(tree.visible.sum())
    linear = 2 * shape.linear_weights * (prefix + branches)
    attention = 4 * shape.layers * shape.width * seen
    head = 2 * shape.width * shape.vocabulary * len(tree.targets)
    return linear + attention + head
