"""The savi command with a fault in one process, for tests with real processes.

FAULT=<rank>:<stage>:<kind>. stage: starting, building (at the second batch), stepping (at the second step) or
validating (after the base). kind: kill, raise, memory (the error of CUDA), or line (a SaviError). A process that waits
for the end of another one has no limit here, so that such a wait is seen.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import torch

from savi.cli import main
from savi.cli.train import SaviCLI
from savi.critique.question_maker import QuestionMaker
from savi.distributed import watch
from savi.training.module import SelfAlignment
from savi.types import SaviError

RANK, STAGE, KIND = os.environ["FAULT"].split(":")


def fail() -> None:
    match KIND:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise ValueError("a bug")
        case "memory":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")
        case "line":
            raise SaviError("a mistake")


def break_call(owner: Any, name: str, number: int) -> None:
    method: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def broken(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += not getattr(getattr(self, "trainer", None), "sanity_checking", False)
        if calls == number:
            fail()
        return method(self, *args, **kwargs)

    setattr(owner, name, broken)


watch.ENDING = 1000.0
if os.environ.get("LOCAL_RANK", "0") == RANK:
    match STAGE:
        case "starting":
            SaviCLI.before_fit = lambda self: fail()
        case "building":
            break_call(QuestionMaker, "run", 2)
        case "stepping":
            break_call(SelfAlignment, "training_step", 2)
        case "validating":
            break_call(SelfAlignment, "validation_step", 1)

if __name__ == "__main__":
    main(sys.argv[1:])
