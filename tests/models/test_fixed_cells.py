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
from savi.models import fixed_cells
from savi.models.fixed_cells import CudaGraph
from savi.models.load import BaseSettings, load_known
from savi.types import Sampling
from tests.miniatures import build_lm, noise_clip
from tools.tiny_models import MINIATURES

CLIPS = [noise_clip(0, 32, 64, frames=4), noise_clip(1, 32, 32, frames=4), noise_clip(2, 32, 32, frames=8)]
REQUESTS = [GenerateRequest(index % 3, "question " + "x" * index, seed=index) for index in range(7)]
FAMILIES = ("qwen2_5_vl", "qwen3_vl", "qwen3_vl_moe", "internvl", "smolvlm")
"""Positions of three axes and of one, deep features, experts."""

LONG, SHORT = Sampling(temperature=1.0, top_p=0.9, max_new_tokens=24), Sampling(temperature=0.0, max_new_tokens=9)


class HostGraph(TorchDispatchMode):
    """A CUDA graph on the host: recording leaves all memory as it was, and a replay repeats the recorded operations on
    the same memory, with the same numbers, without any Python of the step's."""

    def __init__(self) -> None:
        super().__init__()
        self.recorded: list[tuple[Any, Any, Any, Any]] = []
        self.before: list[tuple[Tensor, Tensor]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        names = [argument.name for argument in func._schema.arguments if argument.is_write]
        given = dict(zip([argument.name for argument in func._schema.arguments], args, strict=False)) | (kwargs or {})
        self.before += [(given[name], given[name].clone()) for name in names if isinstance(given.get(name), Tensor)]
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.recorded.append((func, args, kwargs or {}, result))
        return result

    def __exit__(self, *problem: Any) -> None:
        super().__exit__(*problem)
        for place, value in reversed(self.before):
            place.copy_(value)

    def replay(self) -> None:
        for func, args, kwargs, result in self.recorded:
            again = func(*args, **kwargs)
            pairs = zip(again, result, strict=True) if isinstance(again, tuple | list) else [(again, result)]
            for new, place in pairs:
                if isinstance(place, Tensor) and new is not place:
                    place.copy_(new)


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[CudaGraph]:
    """Steps are recorded on the host from now on; these are they."""
    made: list[CudaGraph] = []

    def replayed(step: Callable[[], Tensor], device: torch.device) -> CudaGraph:
        made.append(CudaGraph(step))
        return made[-1]

    monkeypatch.setattr(fixed_cells, "replayed", replayed)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", HostGraph)
    monkeypatch.setattr(torch.cuda, "graph", lambda graph, capture_error_mode: graph)
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
def test_replies_are_those_of_other_steps(family: str, tmp_path: Path, graphs: list[CudaGraph]) -> None:
    """A replay leaves out the step's Python, so a number that Python counts up would stay as it was recorded."""
    folder = MINIATURES[family](tmp_path / family)
    expected, written = write(folder, graphs=False), write(folder, graphs=True)
    assert len(graphs) == 3  # one recording a turn, whichever replies have ended
    assert all(one.graph for one in graphs)
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


def test_a_step_that_cannot_be_recorded_is_refused_in_a_line_and_a_full_memory_keeps_its_name(
    graphs: list[CudaGraph],
) -> None:
    def fail(error: Exception) -> CudaGraph:
        answers = iter([None, error])

        def step() -> Tensor:
            if problem := next(answers):
                raise problem
            return torch.zeros(1)

        made = CudaGraph(step)
        made()  # the first one isn't recorded
        return made

    with pytest.raises(SaviError, match=r"^model\.base\.cuda_graphs: .* \(not permitted\); set it to false$"):
        fail(RuntimeError("not permitted\nCompile with TORCH_USE_CUDA_DSA"))()
    with pytest.raises(torch.OutOfMemoryError):
        fail(torch.OutOfMemoryError("full"))()
