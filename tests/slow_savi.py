"""The savi command where decoding takes long, for tests with real processes.

Every clip takes CLIP seconds more, one called "slow" SLOW_CLIP. Each process adds the longest time of a batch in the
model, in seconds, to the file that TIMES names.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from savi.cli import main
from savi.critique import builder
from savi.critique.question_maker import QuestionMaker
from savi.training.module import SelfAlignment
from savi.video.process import DecodeProcess

CLIP, SLOW_CLIP = 0.3, 3.0

longest = 0.0
collect = DecodeProcess.collect


def collect_slowly(self: DecodeProcess) -> Any:
    time.sleep(SLOW_CLIP if self._path.stem == "slow" else CLIP)
    return collect(self)


def time_calls(owner: Any, name: str) -> None:
    call: Callable[..., Any] = getattr(owner, name)

    def timed(*args: Any, **kwargs: Any) -> Any:
        global longest
        started = time.monotonic()
        result = call(*args, **kwargs)
        longest = max(longest, time.monotonic() - started)
        return result

    setattr(owner, name, timed)


if __name__ == "__main__":
    DecodeProcess.collect = collect_slowly  # type: ignore[method-assign]  # slower
    for owner, name in (
        (builder, "check_agreement"),
        (builder, "check_labelled"),
        (QuestionMaker, "run"),
        (SelfAlignment, "training_step"),
        (SelfAlignment, "validation_step"),
    ):
        time_calls(owner, name)
    main(sys.argv[1:])
    with Path(os.environ["TIMES"]).open("a") as file:
        file.write(f"{longest}\n")
