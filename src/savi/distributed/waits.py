"""How long this process has waited for the others: measured wherever they meet, and shown with a round's results."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Wait:
    """The waits of one stage of a round: how many, their sum, and the longest of them, in seconds."""

    meetings: int = 0
    seconds: float = 0.0
    longest: float = 0.0


class WaitTrace:
    """Times every collective operation of this process, by stage.

    The time of an operation is counted from its call to its result, so that the transfer is in it. On a GPU the
    process's own work is finished first, because operations there only queue up.
    """

    def __init__(self) -> None:
        self._waits: dict[str, Wait] = {}

    @contextmanager
    def meeting(self, stage: str, device: torch.device | None = None) -> Iterator[None]:
        """Time the body as one wait. device: where the body's tensors are, if it has any."""
        _finish(device)
        started = time.monotonic()
        yield
        _finish(device)
        waited = time.monotonic() - started
        before = self._waits.get(stage, Wait())
        self._waits[stage] = Wait(before.meetings + 1, before.seconds + waited, max(before.longest, waited))

    def take(self) -> dict[str, Wait]:
        """The waits by stage since this was last called."""
        waits, self._waits = self._waits, {}
        return waits


def summarise(traces: Sequence[Mapping[str, Wait]]) -> dict[str, dict[str, Any]]:
    """The waits of all processes (processes,) as they are kept with a round's results, in seconds.

    {stage: {"longest": the longest single wait of any process, "processes": the sum of each}}
    """
    stages = dict.fromkeys(stage for trace in traces for stage in trace)
    by_stage = {stage: [trace.get(stage, Wait()) for trace in traces] for stage in stages}
    return {
        stage: {
            "longest": round(max(wait.longest for wait in of_processes), 2),
            "processes": [round(wait.seconds, 2) for wait in of_processes],
        }
        for stage, of_processes in by_stage.items()
    }


def _finish(device: torch.device | None) -> None:
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
