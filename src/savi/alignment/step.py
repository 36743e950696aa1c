"""One optimizer step of DPO: what the LightningModule takes in training, and what tools/bench times."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_, get_total_norm

from savi.alignment.finite import name_clips
from savi.data.batches import MicroBatch, OptimizerStep
from savi.distributed.collectives import all_gather, all_reduce_gradients, all_reduce_sum, from_rank_zero
from savi.errors import NonFiniteError
from savi.inference import ResponseScores, ScoreRequest, VideoModel
from savi.objective.dpo import loss_of_scores, reward_metrics
from savi.objective.losses import PairLoss
from savi.types import PreferencePair, TwoClipPair


def take_step(
    model: VideoModel,
    optimizer: torch.optim.Optimizer,
    batch: OptimizerStep,
    settings: PairLoss,
    clip_norm: float = 0.0,
    backward: Callable[[Tensor], None] = Tensor.backward,
) -> tuple[dict[str, Tensor], Tensor]:
    """One optimizer step: the loss is the mean over the step's pairs, summed up over passes and processes.

    A process may have fewer passes than another, or none: gradients are summed once, at the end. clip_norm: largest
    norm of the gradient, 0 for any. Raises NonFiniteError, in all processes, before the optimizer takes a value that
    isn't finite.

    Returns the means of the loss and the reward metrics over the step's pairs, and as `grad_norm` the norm of the
    gradient before it is clipped, float32 () each; and the log-probabilities that the policy gave to the chosen and to
    the rejected response of each pair of this process before the step, float32 (pairs, 2), on the model's device: NaN
    for rejected ones that the loss doesn't need.
    """
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    optimizer.zero_grad()
    means = {name: values.sum() for name, values in _metrics((), _no_scores(weights[0].device), settings).items()}
    losses: list[Tensor] = []
    logps = [torch.zeros(0, 2, device=weights[0].device)]
    for micro in batch.micro_batches:
        metrics = pair_metrics(model, micro, settings)
        backward(metrics["loss"].sum() / batch.pairs)
        losses.append(metrics["loss"].detach())
        chosen = metrics["logps/chosen"]
        rejected = metrics.get("logps/rejected", torch.full_like(chosen, torch.nan))
        logps.append(torch.stack([chosen, rejected], dim=1))
        for name, values in metrics.items():
            means[name] = means[name] + values.detach().sum() / batch.pairs
    all_reduce_gradients(weights)
    means = all_reduce_sum(means)
    check_finite(batch, losses, means, weights)
    means["grad_norm"] = clip_grad_norm_(weights, clip_norm or math.inf)
    optimizer.step()
    return means, torch.cat(logps)


@torch.no_grad()
def try_weights(model: VideoModel, batch: OptimizerStep, settings: PairLoss) -> None:
    """Score a step's own pairs with the weights that it gave, a pass in each process. Raises NonFiniteError.

    Weights may be finite and give nothing that is: those of a step that was far too long.
    """
    ours = batch.micro_batches[:1]
    all_gather(lambda: [pair_metrics(model, micro, settings)["loss"].tolist() for micro in ours], "training")


def pair_metrics(model: VideoModel, micro: MicroBatch, settings: PairLoss) -> dict[str, Tensor]:
    """Loss and reward metrics of every pair of a pass, float32 (pairs,) each.

    A loss that needs no rejected responses has the model read no clip that these alone are about.
    """
    read = [index for index, pairs in enumerate(micro.pairs) if pairs or settings.needs_rejected]
    clips, frames = [micro.clips[index] for index in read], micro.decoded()
    pairs = [pair for clip_pairs in micro.pairs for pair in clip_pairs]
    places = {clip.id: place for place, clip in enumerate(clips)}
    requests = [
        request
        for place, index in enumerate(read)
        for pair in micro.pairs[index]
        for request in _requests(pair, place, places, settings)
    ]
    return _metrics(pairs, model.encode(clips, [frames[index] for index in read]).score(requests), settings)


def _requests(pair: PreferencePair, place: int, places: Mapping[str, int], settings: PairLoss) -> list[ScoreRequest]:
    """What scores the chosen response and then, if it is needed, the rejected one. place: of the pair's clip. places:
    of all, by id."""
    if not settings.needs_rejected:
        return [ScoreRequest(place, pair.prompt, (pair.chosen,))]
    if not isinstance(pair, TwoClipPair):
        return [ScoreRequest(place, pair.prompt, (pair.chosen, pair.rejected))]
    sides = ((place, pair.chosen), (places[pair.rejected_clip], pair.rejected))
    return [ScoreRequest(side, pair.prompt, (response,)) for side, response in sides]


def _metrics(pairs: Sequence[PreferencePair], scores: ResponseScores, settings: PairLoss) -> dict[str, Tensor]:
    """Loss and reward metrics of pairs from the scores of chosen and rejected in turn, float32 (pairs,) each."""
    logps = [(pair.reference_chosen_logp, pair.reference_rejected_logp) for pair in pairs]
    losses = loss_of_scores(scores, torch.tensor(logps, device=scores.logps.device).view(-1, 2), settings)
    return {"loss": losses.losses, **reward_metrics(losses, settings.needs_rejected)}


def _no_scores(device: torch.device) -> ResponseScores:
    return ResponseScores(torch.zeros(0, device=device), torch.zeros(0, device=device))


def check_finite(
    batch: OptimizerStep, losses: Sequence[Tensor], means: Mapping[str, Tensor], weights: Sequence[Tensor]
) -> None:
    """Refuse a step whose numbers aren't all finite. They are summed over all processes, so that all agree.

    losses: float32 (pairs,), one tensor per pass of this process.
    """
    norm = get_total_norm([weight.grad for weight in weights if weight.grad is not None])
    numbers = {**means, "gradient norm": norm}
    if torch.stack([number.to(norm) for number in numbers.values()]).isfinite().all():
        return
    name, value = next((name, value.item()) for name, value in numbers.items() if not value.isfinite())
    owners = [pair.clip for micro in batch.micro_batches for pairs in micro.pairs for pair in pairs]
    values = [value for part in losses for value in part.tolist()]
    own = [clip for clip, loss in zip(owners, values, strict=True) if not math.isfinite(loss)]
    broken = [clip for clips in all_gather(lambda: own, "training") for clip in clips]
    clips = broken or [clip for clips in all_gather(lambda: owners, "training") for clip in clips]

    def refuse() -> NoReturn:
        raise NonFiniteError(f"the {name} is {value} ({name_clips(clips)})")

    from_rank_zero(refuse, "training")
