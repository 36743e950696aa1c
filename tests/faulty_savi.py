"""The savi command with a fault in one process, for tests with real processes.

FAULT=<rank>:<stage>:<kind>. stage: starting, building, stepping or validating; the fault comes at the second batch or
step. kind: kill, raise, memory (the error of CUDA), or line (a SaviError). FAULT_AT names a file for the time of it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from savi.cli import main
from savi.cli.train import SaviCLI
from savi.critique.chain import CritiqueChain
from savi.training.module import SelfAlignment
from savi.types import SaviError

RANK, STAGE, KIND = os.environ["FAULT"].split(":")


def fail() -> None:
    Path(os.environ["FAULT_AT"]).write_text(str(time.time()))
    match KIND:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise ValueError("a bug")
        case "memory":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        case "line":
            raise SaviError("a mistake")


def break_second_call(owner: Any, name: str) -> None:
    method: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def broken(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += not getattr(getattr(self, "trainer", None), "sanity_checking", False)
        if calls == 2:
            fail()
        return method(self, *args, **kwargs)

    setattr(owner, name, broken)


if os.environ.get("LOCAL_RANK", "0") == RANK:
    match STAGE:
        case "starting":
            SaviCLI.before_fit = lambda self: fail()
        case "building":
            break_second_call(CritiqueChain, "run")
        case "stepping":
            break_second_call(SelfAlignment, "training_step")
        case "validating":
            break_second_call(SelfAlignment, "validation_step")

if __name__ == "__main__":
    main(sys.argv[1:])
