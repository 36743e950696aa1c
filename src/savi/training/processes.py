"""The processes of a run: what each has made comes to all, and the mistake of one ends all with one line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import distributed, nn

from savi.types import SaviError

T = TypeVar("T")


LESS_MEMORY = (
    "the GPU's memory is full; in this order: model.base.nf4=true, model.base.gradient_checkpointing=true, "
    "data.clips_per_pass=1, fewer data.clips_per_chain, a lower data.frame_pixels, fewer data.frames; "
    "docs/models.md has sizes"
)


@contextmanager
def one_line() -> Iterator[None]:
    """What ends a command ends it with one line: too little GPU memory is a SaviError that says what to lower.

    Before several processes meet, all find the same mistake: then the first says it, and the others exit.
    """
    try:
        yield
    except (SaviError, torch.OutOfMemoryError) as error:
        if not is_first() and not _are_several():
            sys.exit(2)
        if isinstance(error, SaviError):
            raise
        raise SaviError(f"{LESS_MEMORY} ({str(error).partition('. ')[0]})") from None


def is_first() -> bool:
    """Whether this is the first process, by what its launcher says: known before the processes have met."""
    rank: int = rank_zero_only.rank  # type: ignore[attr-defined]
    return rank == 0


def gather(make: Callable[[], T]) -> list[T]:
    """What every process makes, in the order of their ranks, in all of them. All have to call it.

    A SaviError in any of them is raised in the first, and the others exit.
    """
    if not _are_several():
        return [make()]
    made: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(made, _outcome(make))
    return [_unwrap(outcome) for outcome in made]


def first(make: Callable[[], T]) -> T:
    """What the first process makes, in all of them. All have to call it; a SaviError ends all as in gather()."""
    if not _are_several():
        return make()
    made: list[Any] = [_outcome(make) if distributed.get_rank() == 0 else None]
    distributed.broadcast_object_list(made, src=0)
    result: T = _unwrap(made[0])
    return result


def sum_gradients(parameters: list[nn.Parameter]) -> None:
    """Put the sum over all processes in the place of each one's gradients; one without any adds zeros."""
    if not _are_several():
        return
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def sum_up(values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Numbers by name, each summed over all processes, which have the same names in the same order."""
    if not _are_several():
        return values
    numbers = torch.stack(list(values.values()))
    distributed.all_reduce(numbers)
    return dict(zip(values, numbers, strict=True))


def _are_several() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def _outcome(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except SaviError as error:
        return error


def _unwrap(outcome: Any) -> Any:
    if not isinstance(outcome, SaviError):
        return outcome
    if distributed.get_rank():
        sys.exit(2)
    raise outcome
