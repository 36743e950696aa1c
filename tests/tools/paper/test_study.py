"""The study's runs: which they are and in which order, that they resume, that one which fails stops no other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from savi.critique.filters import FilterSettings
from tools.paper.plan import (
    CONTROLS,
    CRITICS,
    DECIDING,
    FILTERED,
    GUARDS,
    METHODS,
    NATURAL_METHODS,
    QUICK,
    Base,
    Fit,
    Measurement,
    Task,
    fits_of,
    plan,
)
from tools.paper.runner import run_all

WORLD, OTHER, WEAK, ENGLISH = Base("world"), Base("bases/1"), Base("bases/weak-1"), Base("bases/natural")
OTHER_ENGLISH = Base("bases/natural-weak")
ROOT = Path(__file__).parents[3]
FAKE = """
import json, pathlib, sys, time
options = dict(argument.removeprefix("--").split("=", 1) for argument in sys.argv[2:])
run = pathlib.Path(options["runs"]) / options["name"] / "version_0"
run.mkdir(parents=True, exist_ok=True)
with (run / "calls").open("a") as calls:
    calls.write(options.get("ckpt_path", "anew") + chr(10))
if "tpo" in options["name"]:
    sys.exit("broken")
if "sft" in options["name"] and "ckpt_path" not in options:
    time.sleep(60)
(run / "results.json").write_text(json.dumps({"rounds": [{"accuracy": 0.5}, {"accuracy": 0.75}]}))
(run / "summary.png").touch()
"""


def test_every_run_has_an_experiment_file_and_every_file_a_run() -> None:
    tasks = plan(Path("s"), [WORLD, OTHER], [0], others=[WEAK, ENGLISH])
    files = {path.stem for path in (ROOT / "experiments" / "paper").glob("*.yaml")} - {"study", "natural_study"}
    experiments = {*METHODS, *CONTROLS, *CRITICS, *DECIDING, *GUARDS, *FILTERED, *NATURAL_METHODS}
    assert {fit.experiment for fit in fits_of(tasks)} == files == experiments


def test_todays_filters_are_the_defaults_and_undo_the_earlier_ones() -> None:
    today, earlier = (
        yaml.safe_load((ROOT / "experiments" / f"{name}_filters.yaml").read_text())["model"]["filters"]
        for name in ("todays", "earlier")
    )
    assert today == {name: getattr(FilterSettings(), name) for name in earlier}


def test_the_plan_by_hand() -> None:
    tasks = plan(Path("s"), [WORLD, OTHER], [0, 1, 2], others=[Base("bases/small-1"), WEAK, ENGLISH, OTHER_ENGLISH])
    fits = fits_of(tasks)
    # Fifteen experiments per base and seed, and seven with today's filters; VideoSAVi on the small base, seven on the
    # weak one, five on the one that speaks English, VideoSAVi on another of these; what decides on one seed.
    assert len(fits) == 2 * 3 * (15 + 7) + 3 * 1 + 3 * 7 + 3 * 5 + 3 * 1 + 2 * 10
    # Three methods on four sets a run, and the base once.
    assert len(tasks) - len(fits) == 4 * (3 * 2 * 3 + 2)
    assert len({task.label for task in tasks}) == len(tasks)
    another = [fit for fit in fits if fit.experiment == "critic_another" and fit.seed == 0]
    assert [(fit.base.path, *fit.more) for fit in another] == [
        ("world", "--model.pairs.init_args.critic.init_args.base=bases/1"),
        ("bases/1", "--model.pairs.init_args.critic.init_args.base=world"),
    ]


def test_what_matters_most_comes_first() -> None:
    tasks = plan(Path("s"), [WORLD, OTHER], [0, 1], others=[WEAK])
    assert [task.label for task in tasks[:4]] == [
        "world/videosavi-0",
        "world/control_random-0",
        "1/videosavi-0",
        "1/control_random-0",
    ]
    groups = [group(task) for task in tasks]
    assert groups == sorted(groups)
    assert set(groups) == set(range(7))


def group(task: Task) -> int:
    """By the order that the study promises."""
    if isinstance(task, Measurement):
        return 3
    if task.base == WEAK:
        return 4
    if task.experiment in FILTERED:
        return 6
    if task.experiment in ("videosavi", "control_random"):
        return 0
    return 1 if task.experiment in (*METHODS, *CONTROLS) else 2 if task.experiment in CRITICS else 5


def test_the_quick_plan_is_six_runs_and_two_sets() -> None:
    tasks = plan(Path("s"), [WORLD, OTHER], [0, 1], quick=True, others=[WEAK])
    assert [fit.label for fit in fits_of(tasks)] == [f"world/{name}-0" for name in QUICK]
    assert [task.label for task in tasks[6:]] == [
        "world/base on forms",
        "world/videosavi-0 on forms",
        "world/base on outside",
        "world/videosavi-0 on outside",
    ]
    assert all("--data.benchmark_clips=120" in task.arguments for task in tasks)


def fake_command(folder: Path) -> list[str]:
    script = folder / "fake.py"
    script.write_text(FAKE)
    return [str(script)]


def test_what_is_finished_is_not_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fits = [Fit(tmp_path / "study", WORLD, name, 0) for name in ("tpo", "videosavi", "hound_dpo")]
    # What waits for a run is not in the way of others, and what waits for one that failed is left out.
    tasks = [Measurement(fits[0], "forms"), Measurement(fits[1], "forms"), *fits]
    failed: set[str] = set()
    run_all(tasks, 2, tmp_path / "logs", failed, fake_command(tmp_path))
    assert failed == {"world/tpo-0"}
    said = capsys.readouterr().out
    assert "0 of 5 runs are there already" in said
    assert "world/videosavi-0: 50.0 → 75.0 %" in said
    assert "world/videosavi-0 on forms: 50.0 → 75.0 %" in said
    assert f"FAILED, see {tmp_path}/logs/world_tpo-0.log" in said
    assert "1 measurements are left out: their runs failed" in said
    assert "broken" in (tmp_path / "logs" / "world_tpo-0.log").read_text()
    run_all(tasks[1:2] + tasks[3:], 2, tmp_path / "logs", failed, ["no such file"])
    assert (fits[1].folder / "calls").read_text() == "anew\n"


@pytest.mark.skipif(sys.platform != "linux", reason="runs end with their runner on Linux only")
def test_a_killed_study_goes_on_where_it_was(tmp_path: Path) -> None:
    fit = Fit(tmp_path, WORLD, "sft", 0)
    code = (
        "from pathlib import Path; from tools.paper.plan import *; from tools.paper.runner import run_all; "
        f"p = Path({str(tmp_path)!r}); "
        "run_all([Fit(p, Base('world'), 'sft', 0)], 1, p / 'logs', set(), [str(p / 'fake.py')])"
    )
    fake_command(tmp_path)
    runner = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONPATH": "."})
    deadline = time.monotonic() + 60
    while not (fit.folder / "calls").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    assert fit.results is None
    failed: set[str] = set()
    run_all([fit], 1, tmp_path / "logs", failed, fake_command(tmp_path))
    assert not failed
    assert (fit.folder / "calls").read_text() == "anew\nlast\n"
