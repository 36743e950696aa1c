"""Replies written by a step that never changes are those of other steps, also where the step is only repeated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from savi.errors import SaviError
from savi.inference import GenerateRequest
from savi.models import branch_graph
from savi.models.load import BaseSettings, load_known
from savi.types import Sampling
from tests.miniatures import build_lm, noise_clip
from tools.tiny_models import MINIATURES

CLIPS = [noise_clip(0, 32, 64, frames=4), noise_clip(1, 32, 32, frames=4), noise_clip(2, 32, 32, frames=8)]
REQUESTS = [GenerateRequest(index % 3, "question " + "x" * index, seed=index) for index in range(7)]
FAMILIES = ("qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "internvl", "smolvlm")
"""Positions of three axes and of one, deep features, experts."""

LONG, SHORT = Sampling(temperature=1.0, top_p=0.9, max_new_tokens=24), Sampling(temperature=0.0, max_new_tokens=9)


class Repeated(TorchDispatchMode):
    """A step as a CUDA graph has it: its first call is recorded; each later one repeats the same operations on the same
    memory, with the same numbers, without any Python of the step's."""

    def __init__(self, step: Callable[[], Tensor]) -> None:
        super().__init__()
        self.step = step
        self.recorded: list[tuple[Any, Any, Any, Any]] = []
        self.output: Tensor | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.recorded.append((func, args, kwargs or {}, result))
        return result

    def __call__(self) -> Tensor:
        if self.output is None:
            with self:
                self.output = self.step()
            return self.output
        for func, args, kwargs, result in self.recorded:
            again = func(*args, **kwargs)
            pairs = zip(again, result, strict=True) if isinstance(again, tuple | list) else [(again, result)]
            for new, place in pairs:
                if isinstance(place, Tensor) and new is not place:
                    place.copy_(new)
        return self.output


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> list[Repeated]:
    """Steps are repeated from now on; these are they."""
    made: list[Repeated] = []

    def replayed(step: Callable[[], Tensor], device: torch.device) -> Repeated:
        made.append(Repeated(step))
        return made[-1]

    monkeypatch.setattr(branch_graph, "replayed", replayed)
    return made


def write(folder: Path, *, graphs: bool) -> list[tuple[str, bool, float]]:
    """Two turns about three clips, then one about two of them."""
    lm = build_lm(folder, cuda_graphs=graphs)
    clips, frames = zip(*CLIPS, strict=True)
    session = lm.encode(clips, frames)
    turns = [session.generate(REQUESTS, sampling) for sampling in (LONG, SHORT)]
    turns.append(session.generate([one for one in REQUESTS if one.clip], LONG))
    return [(reply.text, reply.finished, reply.logp) for turn in turns for reply in turn]


@pytest.mark.parametrize("family", FAMILIES)
def test_replies_are_those_of_other_steps(family: str, tmp_path: Path, counts: list[Repeated]) -> None:
    """Repeating leaves out the step's Python, so a number that Python counts up would stay as it was recorded."""
    folder = MINIATURES[family](tmp_path / family)
    expected, written = write(folder, graphs=False), write(folder, graphs=True)
    assert len(counts) == 3  # one step a turn, whichever replies have ended
    for (text, finished, logp), (own_text, own_finished, own_logp) in zip(expected, written, strict=True):
        assert (own_text, own_finished) == (text, finished)
        assert own_logp == pytest.approx(logp, abs=1e-4)


def test_unrecorded_steps_write_the_same(random_base: Path) -> None:
    """As on a CPU."""
    expected, written = write(random_base, graphs=False), write(random_base, graphs=True)
    assert [row[:2] for row in written] == [row[:2] for row in expected]


@pytest.mark.parametrize("family", ["gemma4", "qwen3_5"])
def test_a_decoder_whose_steps_change_is_refused(family: str, tmp_path: Path) -> None:
    folder = MINIATURES[family](tmp_path / family)
    with pytest.raises(SaviError, match=r"model\.base\.cuda_graphs has no effect with .*leave it out"):
        load_known(BaseSettings(str(folder), cuda_graphs=True))
