"""What processes of a run hand each other, in real processes that talk through gloo."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, nn
from torch.multiprocessing import start_processes

from savi.alignment.step import check_finite
from savi.critique.builder import BuiltRound, PairBuilder
from savi.critique.clip_results import ClipResult
from savi.data.batches import ClipPairs, StepDataset
from savi.data.reading import FrameReader
from savi.distributed.collectives import all_gather, all_reduce_gradients, all_reduce_sum, from_rank_zero
from savi.distributed.failures import is_first
from savi.distributed.in_order import results_in_order
from savi.types import Clip, Frames, SaviError
from tests.critique.test_store import files
from tests.training.test_module import CLIPS, build_module, build_pairs, build_step, gradients
from tools.bench.growth import Script

PROCESSES = 3


def _join(rank: int, folder: Path, work: Callable[[int], Any]) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", f"file://{folder / 'meet'}", rank=rank, world_size=PROCESSES)
    try:
        outcome = work(rank)
    except (SaviError, SystemExit) as error:
        outcome = repr(error)
    torch.save(outcome, folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture
def together(tmp_path: Path) -> Callable[[Callable[[int], Any]], list[Any]]:
    """Runs a function of the rank in several processes; what each gave back, in their order."""

    def run(work: Callable[[int], Any]) -> list[Any]:
        start_processes(_join, (tmp_path, work), nprocs=PROCESSES, start_method="fork")
        return [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(PROCESSES)]

    return run


Together = Callable[[Callable[[int], Any]], list[Any]]


def test_all_get_what_each_has_made(together: Together) -> None:
    assert together(lambda rank: all_gather(lambda: "abc"[rank], "building")) == [["a", "b", "c"]] * 3


def test_all_get_what_the_first_has_made(together: Together) -> None:
    assert together(lambda rank: from_rank_zero(lambda: f"by {rank}", "building")) == ["by 0"] * 3


def fail_in(culprit: int, rank: int) -> str:
    if rank == culprit:
        raise SaviError(f"clip {culprit}: a mistake")
    return "well"


@pytest.mark.parametrize("culprit", [0, 2])
def test_the_first_tells_of_a_mistake_in_any_and_all_end(culprit: int, together: Together) -> None:
    ended = together(lambda rank: all_gather(lambda: fail_in(culprit, rank), "building"))
    assert ended == [f"SaviError('clip {culprit}: a mistake')", "SystemExit(2)", "SystemExit(2)"]


def test_an_unforeseen_error_ends_all_too_and_leaves_its_traceback(
    together: Together, capfd: pytest.CaptureFixture[str]
) -> None:
    ended = together(lambda rank: all_gather(lambda: [1][rank], "building"))
    assert ended == [
        "SaviError('process 1 of 3 has failed: IndexError: list index out of range')",
        "SystemExit(2)",
        "SystemExit(2)",
    ]
    assert capfd.readouterr().err.count("IndexError") == 2  # processes 1 and 2


def test_what_the_system_refuses_one_process_is_one_line_without_a_traceback(
    together: Together, capfd: pytest.CaptureFixture[str]
) -> None:
    def write(rank: int) -> None:
        with Path("/dev/full" if rank == 2 else "/dev/null").open("w") as file:
            file.write("text")
            file.flush()

    ended = together(lambda rank: all_gather(lambda: write(rank), "building"))
    assert ended == ["SaviError('/dev/full: No space left on device')", "SystemExit(2)", "SystemExit(2)"]
    assert "Traceback" not in capfd.readouterr().err


def test_gradients_are_summed_and_one_without_any_adds_nothing(together: Together) -> None:
    def work(rank: int) -> list[torch.Tensor]:
        parameters = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(1, 1))]
        if rank != 1:
            parameters[0].grad = torch.tensor([1.0, 10.0]) * (rank + 1)
            parameters[1].grad = torch.tensor([[100.0]])
        all_reduce_gradients(parameters)
        return [p.grad for p in parameters if p.grad is not None]

    for gradient, other in together(work):  # 1 + 3, 10 + 30, 100 + 100
        assert gradient.tolist() == [4.0, 40.0]
        assert other.tolist() == [[200.0]]


def test_numbers_are_summed_by_name(together: Together) -> None:
    summed = together(lambda rank: all_reduce_sum({"a": torch.tensor(1.0), "b": torch.tensor(float(rank))}))
    assert [{name: value.item() for name, value in one.items()} for one in summed] == [{"a": 3.0, "b": 3.0}] * 3


def test_alone_everything_is_as_it_was() -> None:
    weight = nn.Parameter(torch.zeros(1))
    all_reduce_gradients([weight])
    assert weight.grad is None
    assert all_gather(lambda: 1, "building") == [1]
    assert from_rank_zero(lambda: 2, "building") == 2


def test_shares_of_a_step_have_its_gradient_together(random_base: Path, together: Together) -> None:
    """Four clips of unlike many pairs over three processes; AdamW would not tell a gradient from its double."""
    module = build_module(random_base)
    pairs = build_pairs(module)
    for parameter in module.parameters():
        if parameter.requires_grad:
            parameter.data += 0.01  # away from the start, where half of the gradients are zero
    whole = gradients(module, build_step(pairs, [[0, 1, 2, 3]]))
    groups = [ClipPairs(clip, tuple(own)) for (clip, _), own in zip(CLIPS, pairs, strict=True)]
    decoded = dict(CLIPS)

    class Decoded(FrameReader):
        def source(self, clip: Clip) -> Any:
            return decoded[clip]

    def work(rank: int) -> dict[str, torch.Tensor]:
        step = StepDataset([groups], 2, Decoded(4, 60.0, lambda _: False), rank, PROCESSES)[0]
        gradients(module, step)
        parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
        all_reduce_gradients(list(parameters.values()))
        return {name: p.grad for name, p in parameters.items() if p.grad is not None}

    scale = max(gradient.abs().max() for gradient in whole.values())
    for shared in together(work):
        assert shared.keys() == whole.keys()
        for name, gradient in whole.items():
            assert (shared[name] - gradient).abs().max() <= 1e-5 * scale, name


def test_no_process_waits_for_another_while_pairs_are_built(together: Together, tmp_path: Path) -> None:
    """The others begin when the first is done with its share: if they met after each batch, this would never end."""
    clips = [Clip(f"clip_{number}", tmp_path / f"{number}.mp4") for number in range(14)]
    first_is_done = tmp_path / "done"

    class Waiting(Script):
        rank = 0

        def run(self, clips: Sequence[Clip], frames: Sequence[Frames | None]) -> list[ClipResult]:
            end = time.monotonic() + 60
            while self.rank and not first_is_done.exists():
                assert time.monotonic() < end
                time.sleep(0.01)
            return super().run(clips, frames)

    def build(folder: Path, rank: int) -> BuiltRound:
        maker = Waiting()
        maker.rank = rank
        builder = PairBuilder(maker, iter, clips, 2, folder, "key")
        for done, _ in enumerate(builder.build(), 1):
            if rank == 0 and done == 3:  # of seven batches, those with numbers 0, 3 and 6
                first_is_done.touch()
        return builder.close()

    def work(rank: int) -> list[str]:
        return [pair.clip for pair in build(tmp_path / "together", rank).pairs]

    shares = together(work)
    build(tmp_path / "alone", 0)
    assert shares[0] == shares[1] == shares[2]
    assert files(tmp_path / "together") == files(tmp_path / "alone")


def test_results_come_in_order_and_no_process_waits_before_its_share_is_done(
    together: Together, tmp_path: Path
) -> None:
    first_is_done = tmp_path / "done"

    def work(rank: int) -> list[list[int]]:
        def make(piece: int) -> list[int]:
            end = time.monotonic() + 60
            while rank and not first_is_done.exists():
                assert time.monotonic() < end
                time.sleep(0.01)
            if piece == 6:  # the first process's last one
                first_is_done.touch()
            return [rank, piece]

        return list(results_in_order(range(7), make, "predicting"))

    assert together(work) == [[[piece % 3, piece] for piece in range(7)], [], []]


@pytest.mark.parametrize("culprit", [0, 2])
def test_a_mistake_in_shared_work_ends_all(culprit: int, together: Together) -> None:
    ended = together(lambda rank: list(results_in_order(range(6), lambda _: fail_in(culprit, rank), "predicting")))
    assert ended == [f"SaviError('clip {culprit}: a mistake')", "SystemExit(2)", "SystemExit(2)"]


@pytest.mark.parametrize("broken", ["loss", "gradient"])
def test_all_refuse_a_step_whose_numbers_are_broken_in_one(broken: str, random_base: Path, together: Together) -> None:
    """One line from the first process, though only the last has the clip; nobody is left waiting."""
    module = build_module(random_base)
    pairs = build_pairs(module)

    def work(rank: int) -> None:
        step = build_step(pairs, [[rank]])
        gradients(module, step)
        losses = torch.full((len(pairs[rank]),), math.nan if (rank, broken) == (2, "loss") else 0.5)
        adapter = [p for p in module.parameters() if p.requires_grad]
        if (rank, broken) == (2, "gradient"):
            adapter[0].grad = torch.full_like(adapter[0], math.inf)
        all_reduce_gradients(adapter)
        check_finite(step, [losses], all_reduce_sum({"loss": losses.sum()}), adapter)

    said, *others = together(work)
    assert others == ["SystemExit(2)"] * 2
    assert said.startswith("NonFiniteError('the ")
    assert (
        "loss is nan (clip noise_2)" if broken == "loss" else "gradient norm is inf (clips noise_0, noise_1"
    ) in said


def test_the_first_process_of_a_second_machine_is_not_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NODE_RANK", "0")
    assert is_first()
    monkeypatch.setenv("NODE_RANK", "1")
    assert not is_first()
