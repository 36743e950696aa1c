"""The moment of a kill is found from outside, by what changes in a run's folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tools.faults.cases import Kill, Phase
from tools.faults.watch import ends_of_rounds, steps, wait_for

HEADER = "epoch,step,loss,val/accuracy\n"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "version_0"
    for name in ("pairs", "checkpoints", "adapter"):
        (folder / name).mkdir(parents=True)
    return folder


def living(*deeds: Callable[[], object]) -> Callable[[], bool]:
    """A run that does one thing each time that it is asked whether it lives, and then ends."""
    remaining: Iterator[Callable[[], object]] = iter(deeds)

    def alive() -> bool:
        deed = next(remaining, None)
        if deed:
            deed()
        return deed is not None

    return alive


def nothing() -> None:
    pass


def writing(path: Path, text: str) -> Callable[[], object]:
    def write() -> None:
        with path.open("a") as file:
            file.write(text)

    return write


@pytest.mark.parametrize(
    ("phase", "name"),
    [
        ("building", "pairs/round_00.jsonl"),
        ("checkpoint", "checkpoints/round_00.ckpt"),
        ("results", "results.json"),
        ("adapter", "adapter/adapter_model.safetensors"),
        ("closing", "summary.png"),
    ],
)
def test_a_phase_is_seen_by_its_files(phase: Phase, name: str, run: Path) -> None:
    other = writing(run / "metrics.csv", "x")
    assert wait_for(Kill(phase, 1, 0), run.parent, living(other, writing(run / name, "x"), nothing, nothing), 1, ())
    assert not wait_for(Kill(phase, 1, 0), run.parent, living(other, other, nothing), 1, ())


def test_a_later_occurrence_is_waited_for(run: Path) -> None:
    write = writing(run / "pairs" / "round_00.jsonl", "x")
    assert not wait_for(Kill("building", 3, 0), run.parent, living(write, nothing, write, nothing), 1, ())
    assert wait_for(Kill("building", 3, 0), run.parent, living(write, write, write, nothing, nothing), 1, ())


def test_a_run_that_ends_during_the_delay_is_not_killed(run: Path) -> None:
    assert not wait_for(Kill("closing", 1, 5), run.parent, living(writing(run / "summary.png", "x"), nothing), 1, ())


def test_validating_begins_after_the_last_step_of_a_round(run: Path) -> None:
    metrics = run / "metrics.csv"
    metrics.write_text(HEADER)
    one = writing(metrics, "0,0,0.69,\n")
    two = writing(metrics, "0,1,0.68,\n")
    kill = Kill("validating", 1, 0)
    assert not wait_for(kill, run.parent, living(one, nothing), 1, (2, 4))
    assert wait_for(kill, run.parent, living(two, nothing, nothing), 1, (2, 4))
    assert steps(run.parent) == 2


def test_rounds_end_where_the_epoch_changes(run: Path) -> None:
    (run / "metrics.csv").write_text(
        HEADER + ",0,,0.5\n0,0,0.69,\n0,1,0.68,\n0,1,,0.5\n1,2,0.67,\n1,3,0.66,\n1,4,0.65,\n1,4,,0.6\n"
    )
    assert ends_of_rounds(run) == (2, 5)
