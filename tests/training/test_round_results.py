"""What results say of unusual runs: stopped rounds, rounds without an evaluation, other sets."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from savi.cli import main
from tests.quick_runs import QUICK

DEMO = Path(__file__).parents[2] / "experiments" / "demo.yaml"
SMALL = [
    *QUICK,
    "--data.clip_count=8",
    "--data.benchmark_clips=4",
    "--data.micro_batch_clips=4",
    "--data.pairs_per_step=8",
    "--trainer.max_epochs=2",
]


def call(runs: Path, *more: str, command: str = "fit") -> Path:
    """The demo in small, in this process; the folder of the run."""
    main([command, "--config", str(DEMO), f"--runs={runs}", *SMALL, *more])
    return runs / "demo" / "version_0"


def rounds_of(folder: Path) -> list[dict[str, Any]]:
    rounds: list[dict[str, Any]] = json.loads((folder / "results.json").read_text())["rounds"]
    return rounds


def evaluated(folder: Path) -> list[int]:
    """The rounds whose results.json entry holds a measurement."""
    return [entry["round"] for entry in rounds_of(folder) if "benchmarks" in entry]


def rounds_with_items(folder: Path) -> list[int]:
    return [int(path.parent.name.removeprefix("round_")) for path in sorted(folder.glob("benchmarks/*/world.jsonl"))]


def columns(said: str) -> list[str]:
    """The headings of the last table that was printed."""
    (*_, line) = [line for line in said.splitlines() if line.startswith("┃ accuracy")]
    return [heading.strip() for heading in line.strip("┃").split("┃")]


@pytest.fixture(scope="module")
def every_second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two rounds that is evaluated after the second one alone."""
    return call(tmp_path_factory.mktemp("runs"), "--trainer.check_val_every_n_epoch=2")


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that ended inside its first round."""
    return call(tmp_path_factory.mktemp("runs"), "--trainer.max_steps=1")


def test_a_round_without_an_evaluation_has_no_accuracy_and_no_items(every_second: Path) -> None:
    assert [entry["round"] for entry in rounds_of(every_second)] == [0, 1, 2]
    assert evaluated(every_second) == rounds_with_items(every_second) == [0, 2]
    assert all(entry["steps"]["taken"] == entry["steps"]["planned"] > 1 for entry in rounds_of(every_second)[1:])


def test_every_figure_says_what_it_was_measured_on(every_second: Path) -> None:
    places = [entry["benchmarks"]["world"]["measured_on"] for entry in rounds_of(every_second) if "benchmarks" in entry]
    digest = places[0].pop("digest")
    assert places[0] == {
        "benchmark": "world",
        "split": "dev",
        "items": 12,
        "of": 12,
        "clips": 4,
        "frames": 32,
        "frame_pixels": None,
        "seed": 0,
        "wording": None,
        "scorer": "likelihood",
    }
    assert places[1] == places[0] | {"digest": digest}


def test_a_round_that_was_stopped_is_evaluated_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stopped = call(tmp_path, "--trainer.max_steps=1")
    planned = rounds_of(stopped)[1]["steps"]["planned"]
    assert planned > 1
    assert rounds_of(stopped)[1]["steps"] == {"taken": 1, "planned": planned}
    assert evaluated(stopped) == rounds_with_items(stopped) == [0, 1]
    assert f"Round 1 stopped after 1 of {planned} steps." in capsys.readouterr().out


def test_compare_names_the_round_that_was_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = call(tmp_path, "--trainer.check_val_every_n_epoch=2", "--trainer.max_epochs=1")
    main(["compare", str(run), str(run)])
    assert f"A: {run}, base\n" in capsys.readouterr().out


def test_a_resume_trains_a_stopped_round_in_full_and_takes_its_mark_off(stopped: Path, tmp_path: Path) -> None:
    shutil.copytree(stopped, tmp_path / "demo" / "version_0")
    run = call(tmp_path, "--ckpt_path=last")
    assert [entry["round"] for entry in rounds_of(run)] == [0, 1, 2]
    assert rounds_of(run)[1]["steps"] == {"taken": 3, "planned": 3}
    assert evaluated(run) == rounds_with_items(run) == [0, 1, 2]


@pytest.mark.parametrize(
    "other",
    ["--data.benchmark_set=forms", "--data.benchmark_clips=3", "--data.benchmark_seed=1"],
)
def test_a_validation_on_another_set_shows_its_figure_alone(
    other: str, every_second: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(every_second, tmp_path / "demo" / "version_0")
    run = call(tmp_path, "--ckpt_path=last", other, command="validate")
    assert [entry["round"] for entry in rounds_of(run / "validate")] == [2]
    assert columns(capsys.readouterr().out) == ["accuracy", "round 2", "95 % interval"]


def test_a_validation_on_the_same_set_stands_next_to_the_base(
    every_second: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(every_second, tmp_path / "demo" / "version_0")
    run = call(tmp_path, "--ckpt_path=last", command="validate")
    assert [entry["round"] for entry in rounds_of(run / "validate")] == [0, 2]
    assert columns(capsys.readouterr().out) == ["accuracy", "base", "round 2", "change", "95 % interval"]


def test_an_evaluation_of_a_part_says_of_how_much(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = call(tmp_path, "--trainer.limit_val_batches=0.5", "--data.micro_batch_clips=2", "--trainer.max_epochs=1")
    places = [entry["benchmarks"]["world"]["measured_on"] for entry in rounds_of(run)]
    assert [(place["items"], place["of"], place["clips"]) for place in places] == [(6, 12, 2)] * 2
    assert "6 of 12 questions on 2 clips" in capsys.readouterr().out
