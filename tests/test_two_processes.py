"""Two real processes (gloo, CPU) against one: the same pairs, the same losses, one line for a mistake."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from savi.cli import main
from savi.world.benchmark import held_out
from tests.quick_runs import QUICK

DEMO = Path(__file__).parent.parent / "experiments" / "demo.yaml"
CLIPS_A_PASS = 2
LABELLED = 8
# Five batches of clips, two of items, and steps of so few clips that a process is sometimes without any.
SMALL = [
    *QUICK,
    "--data.readiness_clips=2",  # one for each
    "--data.clip_count=10",
    f"--data.micro_batch_clips={CLIPS_A_PASS}",
    "--data.pairs_per_step=4",
    "--data.benchmark_clips=3",
    "--trainer.max_epochs=2",
]
TWO = ["--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.strategy=ddp"]
FAULTY = Path(__file__).parent / "faulty_savi.py"
SLOW = pytest.mark.slow
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]


def arguments(runs: Path, *more: str) -> list[str]:
    return ["fit", f"--config={DEMO}", f"--runs={runs}", *SMALL, *more]


def start(launcher: Sequence[str], given: Sequence[str], **more: str) -> subprocess.CompletedProcess[str]:
    """more: environment variables."""
    command = [sys.executable, *launcher, *given]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)} | more
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The option for a file of labelled questions about eight clips."""
    folder = tmp_path_factory.mktemp("labelled")
    lines = [
        {"video": str(item.clip.path), "question": item.question, "answer": item.options[item.answer]}
        for item in held_out(folder, LABELLED, seed=0, split="dev")
    ]
    (folder / "labelled.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return f"--data.labelled={folder / 'labelled.jsonl'}"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, labelled: str) -> Path:
    runs = tmp_path_factory.mktemp("one")
    main(arguments(runs, labelled))
    return runs / "demo" / "version_0"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, labelled: str) -> Path:
    runs = tmp_path_factory.mktemp("two")
    done = start(TORCHRUN, ["-m", "savi.cli", *arguments(runs, labelled, *TWO)])
    assert done.returncode == 0, done.stderr[-3000:]
    assert [path.name for path in (runs / "demo").iterdir()] == ["version_0"]
    assert done.stdout.count("Files:") == 1
    return runs / "demo" / "version_0"


def rounds(run: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((run / "results.json").read_text())["rounds"]
    return entries


def steps(run: Path) -> list[dict[str, float]]:
    with (run / "metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["loss"]]
    return [{name: float(row[name]) for name in ("loss", "rewards/margins", "logps/chosen")} for row in rows]


def weights(run: Path) -> torch.Tensor:
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return torch.cat([weight.flatten() for weight in state.values()])


def test_two_processes_make_the_pairs_of_one_in_its_order(one: Path, two: Path) -> None:
    built = ("pairs/round_00.jsonl", "pairs/round_00.progress.json", "traces/round_00.jsonl")
    for name in ("readiness.json", *built, "benchmarks/round_00/world.jsonl"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    # From then on the models differ by what floating point makes of another order of sums.
    for a, b in zip(*((run / "pairs" / "round_01.jsonl").read_text().splitlines() for run in (one, two)), strict=True):
        assert {k: v for k, v in json.loads(a).items() if "logp" not in k} == {
            k: v for k, v in json.loads(b).items() if "logp" not in k
        }


def test_two_processes_take_the_steps_of_one(one: Path, two: Path) -> None:
    alone, together = steps(one), steps(two)
    assert len(alone) == len(together) > 8
    for a, b in zip(alone, together, strict=True):
        assert a == pytest.approx(b, abs=1e-4)
    assert (weights(one) - weights(two)).abs().max() < 1e-3 * weights(one).abs().max()
    for name in ("logps/round_00.jsonl", "logps/round_01.jsonl"):
        for a, b in zip(*((run / name).read_text().splitlines() for run in (one, two)), strict=True):
            assert json.loads(a) == {
                name: pytest.approx(value, abs=1e-3) if name.endswith("logps") else value
                for name, value in json.loads(b).items()
            }


def test_two_processes_reach_what_one_reaches(one: Path, two: Path) -> None:
    for a, b in zip(rounds(one), rounds(two), strict=True):
        assert (a["round"], a["pairs"], a["filters"]) == (b["round"], b["pairs"], b["filters"])
        worlds = [entry["benchmarks"]["world"] for entry in (a, b)]
        assert worlds[0]["measured_on"] == worlds[1]["measured_on"]
        assert abs(worlds[0]["accuracy"] - worlds[1]["accuracy"]) * worlds[0]["items"] < 1.5


def test_what_the_processes_waited_for_is_kept_with_the_round(one: Path, two: Path) -> None:
    waits = [(stage, wait) for entry in rounds(two) for stage, wait in entry["seconds"]["waiting"].items()]
    assert {stage for stage, _ in waits} == {"start", "evaluating", "readiness", "building", "training"}
    assert all(len(wait["processes"]) == 2 for _, wait in waits)
    assert not any("waiting" in entry["seconds"] for entry in rounds(one))


def test_the_parts_of_the_processes_are_merged_and_gone(two: Path) -> None:
    assert sorted(path.name for path in (two / "pairs").iterdir()) == [
        f"round_{number:02d}{end}" for number in range(2) for end in (".jsonl", ".progress.json")
    ]


@SLOW  # tests/test_run.py resumes a run, too
def test_one_process_goes_on_with_the_run_of_two(two: Path, labelled: str, tmp_path: Path) -> None:
    copy = tmp_path / "demo" / "version_0"
    shutil.copytree(two, copy)
    for name in ("checkpoints", "benchmarks"):
        shutil.rmtree(copy / name)
    for path in (*copy.glob("*/round_01*"), copy / "results.json", copy / "summary.png"):
        path.unlink()
    main(arguments(tmp_path, labelled, "--ckpt_path=last"))
    assert (copy / "pairs" / "round_00.jsonl").read_bytes() == (two / "pairs" / "round_00.jsonl").read_bytes()
    assert [entry["pairs"] for entry in rounds(copy)] == [entry["pairs"] for entry in rounds(two)]
    assert (weights(copy) - weights(two)).abs().max() < 1e-3 * weights(two).abs().max()


@SLOW  # the processes end together as where one has died, below
def test_a_mistake_found_by_one_process_ends_both_with_one_line(tmp_path: Path) -> None:
    """Lightning starts the second process itself here."""
    done = start(
        ["-m", "savi.cli"],
        arguments(tmp_path, *TWO, "--model.chain.answer.max_new_tokens=1", "--data.benchmark=null", "--force"),
    )
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("savi:")]
    assert "no pair to learn from" in line
    assert "Traceback" not in done.stderr


@SLOW  # tests/distributed ends processes without a run
@pytest.mark.parametrize(
    ("fault", "code", "line", "tracebacks"),
    [
        ("1:building:kill", 2, "process 1 of 2 has died (killed, or out of memory?)", 0),
        ("0:stepping:kill", -9, "process 0 of 2 has died (killed, or out of memory?)", 0),
        ("1:stepping:memory", 2, "the GPU's memory is full", 0),
        ("1:validating:raise", 2, "process 1 of 2 has failed: ValueError: a bug", 1),
    ],
)
def test_the_end_of_one_process_is_the_end_of_both(
    fault: str, code: int, line: str, tracebacks: int, one: Path, tmp_path: Path
) -> None:
    """Lightning starts the second process; the command's pipes close when both have ended. Then the run is resumed."""
    done = start([str(FAULTY)], arguments(tmp_path, *TWO), FAULT=fault)
    assert done.returncode == code, done.stderr[-3000:]
    (shown,) = [line for line in done.stderr.splitlines() if line.startswith("savi:")]
    assert line in shown
    assert done.stderr.count("Traceback") == tracebacks
    if "building" in fault:
        main(arguments(tmp_path, "--ckpt_path=last"))
        run = tmp_path / "demo" / "version_0"
        for name in ("pairs/round_01.jsonl", "traces/round_01.jsonl", "benchmarks/round_02/world.jsonl"):
            assert (run / name).read_bytes() == (one / name).read_bytes(), name
