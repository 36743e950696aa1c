"""What the processes of a run hand each other, and how the failure of one ends all of them with one line."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import distributed, nn

from savi.data.sharding import deal
from savi.errors import SaviError, describe_os_error
from savi.training.waits import WaitTrace, summarise

P = TypeVar("P")
T = TypeVar("T")

LAUNCHER = "SAVI_LAUNCHER"
"""Environment variable: the process id of the savi command that has started this one as one of its processes."""

LESS_MEMORY = (
    "the GPU's memory is full; in this order: model.base.nf4=true, model.base.gradient_checkpointing=true, "
    "data.clips_per_pass=1, fewer data.clips_per_chain, a lower data.frame_pixels, fewer data.frames; "
    "docs/models.md has sizes"
)

FORESEEN = (SaviError, torch.OutOfMemoryError, OSError)
"""Errors that a line tells all of: a user's mistake, too little memory, and what the system refuses."""

waits = WaitTrace()
"""The waits of this process in the operations below."""


@dataclass(frozen=True)
class _Failure:
    """What came instead of a result."""

    error: SaviError


@contextmanager
def one_line() -> Iterator[None]:
    """End a command with one line: too little GPU memory becomes a SaviError that says what to lower.

    Of several processes one shows the line. Once they have met, and where all were started alike and find the same
    mistake, it is the first. A process that another savi command has launched may be the only one to find it.
    """
    try:
        yield
    except FORESEEN as error:
        if not is_first() and (_are_several() or LAUNCHER not in os.environ):
            sys.exit(2)
        if not isinstance(error, torch.OutOfMemoryError):
            raise
        raise SaviError(describe(error)) from None


def describe(error: BaseException) -> str:
    """The line for the terminal about an error."""
    text = str(error)
    if isinstance(error, SaviError):
        return text
    if isinstance(error, torch.OutOfMemoryError):
        return f"{LESS_MEMORY} ({text.partition('. ')[0]})"
    if isinstance(error, OSError):
        return describe_os_error(error)
    return " ".join(f"{type(error).__name__}: {text}".split())


def is_first() -> bool:
    """Whether this is the first process, by what its launcher says: known before the processes have met."""
    rank: int = rank_zero_only.rank  # type: ignore[attr-defined]
    # Lightning's own launcher on several machines tells each its NODE_RANK alone.
    return rank == 0 and os.environ.get("NODE_RANK", "0") == "0"


def gather(make: Callable[[], T], stage: str) -> list[T]:
    """The results of `make` in every process, in the order of their ranks, in all of them. All have to call it.

    stage: where the wait for the slowest is counted. An error in any process ends all of them: the first raises it as
    a SaviError (its own as it is), the others exit. One that isn't a SaviError leaves its traceback where it came up.
    """
    if not _are_several():
        return [make()]
    outcome, error = _try(make)
    outcomes: list[Any] = [None] * distributed.get_world_size()
    with waits.meeting(stage):
        distributed.all_gather_object(outcomes, outcome)
    _end_on_failure(outcomes, error)
    return outcomes


def first(make: Callable[[], T], stage: str) -> T:
    """The result of `make` in the first process, in all of them. All have to call it; errors end all as in gather()."""
    if not _are_several():
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
    return {"waiting": summarise(gather(waits.take, "evaluating"))} if _are_several() else {}


def share(pieces: Sequence[T]) -> Sequence[T]:
    """The pieces of work that are this process's."""
    return deal(pieces, *_place())


def deal_out(pieces: Sequence[P], work: Callable[[P], T], stage: str) -> Iterator[T]:
    """The results of all pieces of work in their order, in all processes, each of which does its share.

    All have to call it. They meet after each piece, so that none waits for another longer than a piece takes.
    """
    _, processes = _place()
    mine = iter(share(pieces))
    for _ in range(0, len(pieces), processes):
        for done in gather(lambda: [work(piece) for piece in islice(mine, 1)], stage):
            yield from done


def sum_gradients(parameters: list[nn.Parameter]) -> None:
    """Put the sum over all processes in the place of each one's gradients; one without any adds zeros."""
    if not _are_several():
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


def sum_up(values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Numbers by name, each summed over all processes, which have the same names in the same order."""
    if not _are_several():
        return values
    numbers = torch.stack(list(values.values()))
    with waits.meeting("training", numbers.device):
        distributed.all_reduce(numbers)
    return dict(zip(values, numbers, strict=True))


def _are_several() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _place() -> tuple[int, int]:
    """This process's rank, and how many processes there are."""
    return (distributed.get_rank(), distributed.get_world_size()) if _are_several() else (0, 1)


def _try(make: Callable[[], Any]) -> tuple[Any, Exception | None]:
    """What is made, or a failure in its place with the error behind it."""
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
