"""The exchange between the processes of a run. An error in one of them ends all, with one line."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import torch
from torch import distributed, nn

from savi.distributed.failures import FORESEEN, are_several, describe
from savi.distributed.sharding import chunks, shard
from savi.distributed.waits import WaitTrace, summarise
from savi.errors import SaviError

P = TypeVar("P")
T = TypeVar("T")

waits = WaitTrace()
"""The waits of this process in the operations below."""


@dataclass(frozen=True)
class _Failure:
    """What came instead of a result."""

    error: SaviError


def all_gather(make: Callable[[], T], stage: str) -> list[T]:
    """The results of `make` in every process, in the order of their ranks, in all of them. All have to call it.

    stage: where the wait for the slowest is counted. An error in any process ends all of them: the first raises it as
    a SaviError (its own as it is), the others exit. One that isn't a SaviError leaves its traceback where it came up.
    """
    if not are_several():
        return [make()]
    outcome, error = _try(make)
    outcomes: list[Any] = [None] * distributed.get_world_size()
    with waits.meeting(stage):
        distributed.all_gather_object(outcomes, outcome)
    _end_on_failure(outcomes, error)
    return outcomes


def from_rank_zero(make: Callable[[], T], stage: str) -> T:
    """The result of `make` in the first process, in all of them. All have to call it. An error ends all of them."""
    if not are_several():
        return make()
    outcome, error = _try(make) if distributed.get_rank() == 0 else (None, None)
    outcomes: list[Any] = [outcome]
    with waits.meeting(stage):
        distributed.broadcast_object_list(outcomes, src=0)
    _end_on_failure(outcomes, error)
    result: T = outcomes[0]
    return result


def waited() -> dict[str, Any]:
    """{"waiting": the waits of all processes since this was last called, as `summarise` gives them}; {} in one."""
    return {"waiting": summarise(all_gather(waits.take, "evaluating"))} if are_several() else {}


def own_shard(pieces: Sequence[T]) -> Sequence[T]:
    """The pieces of work that are this process's."""
    return shard(pieces, *_place())


def shard_and_gather(pieces: Sequence[P], work: Callable[[P], T], stage: str) -> Iterator[T]:
    """The results of all pieces of work in their order, in all processes, each of which does its share.

    All have to call it. They meet after each piece, so that all have its result soon.
    """
    _, processes = _place()
    mine = iter(own_shard(pieces))
    for _ in range(0, len(pieces), processes):
        for done in all_gather(lambda: [work(piece) for piece in islice(mine, 1)], stage):
            yield from done


def gather_shares(make: Callable[[], Iterable[T]], stage: str) -> list[T]:
    """The results of all pieces of work in their order, in all processes. All have to call it.

    make: gives those of this process's share, as `own_shard` cuts it. The processes meet once, when all are done. An
    error in one ends the others by their :class:`savi.distributed.watch.Watch`, and not only when they meet.
    """
    mine = list(make())
    shares = all_gather(lambda: mine, stage)
    return [shares[index % len(shares)][index // len(shares)] for index in range(sum(map(len, shares)))]


def turns(pieces: Sequence[T]) -> list[Sequence[T]]:
    """The pieces of work in groups: all processes have one piece of a group each."""
    _, processes = _place()
    return chunks(pieces, processes)


def all_reduce_gradients(parameters: list[nn.Parameter]) -> None:
    """Put the sum over all processes in the place of each one's gradients; one without any adds zeros."""
    if not are_several():
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    with waits.meeting("training", flat.device):
        distributed.all_reduce(flat)
    for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def all_reduce_sum(values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Numbers by name, each summed over all processes, which have the same names in the same order."""
    if not are_several():
        return values
    numbers = torch.stack(list(values.values()))
    with waits.meeting("training", numbers.device):
        distributed.all_reduce(numbers)
    return dict(zip(values, numbers, strict=True))


def _place() -> tuple[int, int]:
    """This process's rank, and how many processes there are."""
    return (distributed.get_rank(), distributed.get_world_size()) if are_several() else (0, 1)


def _try(make: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """The result, or a failure in its place with the error behind it."""
    try:
        return make(), None
    except Exception as error:
        if isinstance(error, SaviError):
            return _Failure(error), error
        line = describe(error)
        if not isinstance(error, FORESEEN):
            line = f"process {distributed.get_rank()} of {distributed.get_world_size()} has failed: {line}"
        return _Failure(SaviError(line)), error


def _end_on_failure(outcomes: list[Any], error: Exception | None) -> None:
    """error: this process's own."""
    failures = [outcome for outcome in outcomes if isinstance(outcome, _Failure)]
    if not failures:
        return
    if distributed.get_rank() == 0:
        raise error or failures[0].error
    if error is not None and not isinstance(error, FORESEEN):
        traceback.print_exception(error)
    sys.exit(2)
