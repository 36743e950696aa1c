"""The study around its runs: which they are, that they resume, what is made of their results."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from paper.numbers import Estimate, PriorErrors, advantage, estimate, prior_errors, read_fits, show, taught_with
from paper.page import write_page
from paper.plan import CONTROLS, CRITICS, DECIDING, METHODS, SETS, Base, Fit, plan
from paper.runner import run_all
from savi.world.lessons import Prior
from savi.world.questions import queries
from savi.world.scenes import make_scene
from tests.report.made_up_runs import make_results

WORLD, OTHER = Base("world"), Base("bases/1")
ROOT = Path(__file__).parent.parent.parent
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
    experiments = {fit.experiment for fit in plan(Path("s"), [WORLD, OTHER], [0], quick=False)[0]}
    files = {path.stem for path in (ROOT / "experiments" / "paper").glob("*.yaml")} - {"study"}
    assert experiments == files == {*METHODS, *CONTROLS, *CRITICS, *DECIDING}


def test_the_plan_by_hand() -> None:
    fits, measurements = plan(Path("s"), [WORLD, OTHER], [0, 1, 2], quick=False)
    assert len(fits) == 2 * 3 * 12 + 2 * 8
    # Three methods on four sets a run, and the base once.
    assert len(measurements) == 4 * (3 * 2 * 3 + 2)
    assert fits[0] == Fit(Path("s"), WORLD, "videosavi", 0)
    another = [fit for fit in fits if fit.experiment == "critic_another" and fit.seed == 0]
    assert [(fit.base.path, *fit.more) for fit in another] == [
        ("world", "--model.chain.critic.base=bases/1"),
        ("bases/1", "--model.chain.critic.base=world"),
    ]
    quick, few = plan(Path("s"), [WORLD], [0, 1], quick=True)
    assert len(quick) == 11
    assert len(few) == 2 * len(SETS)
    assert len({task.label for task in (*fits, *measurements)}) == len(fits) + len(measurements)


def fake_command(folder: Path) -> list[str]:
    script = folder / "fake.py"
    script.write_text(FAKE)
    return [str(script)]


def test_what_is_finished_is_not_run_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = [Fit(tmp_path / "study", WORLD, name, 0) for name in ("videosavi", "hound_dpo", "tpo")]
    assert run_all(tasks, 2, tmp_path / "logs", fake_command(tmp_path)) == 1
    said = capsys.readouterr().out
    assert "0 of 3 runs are there already" in said
    assert "world/videosavi-0: 50.0 → 75.0 %" in said
    assert f"FAILED, see {tmp_path}/logs/world_tpo-0.log" in said
    assert "broken" in (tmp_path / "logs" / "world_tpo-0.log").read_text()
    assert run_all(tasks[:2], 2, tmp_path / "logs", ["no such file"]) == 0
    assert (tasks[0].folder / "calls").read_text() == "anew\n"


@pytest.mark.skipif(sys.platform != "linux", reason="runs end with their runner on Linux only")
def test_a_killed_study_goes_on_where_it_was(tmp_path: Path) -> None:
    fit = Fit(tmp_path, WORLD, "sft", 0)
    code = (
        "from pathlib import Path; from paper.plan import *; from paper.runner import run_all; "
        f"p = Path({str(tmp_path)!r}); run_all([Fit(p, Base('world'), 'sft', 0)], 1, p / 'logs', [str(p / 'fake.py')])"
    )
    fake_command(tmp_path)
    runner = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"PYTHONPATH": "."})
    deadline = time.monotonic() + 60
    while not (fit.folder / "calls").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    assert fit.results is None
    assert run_all([fit], 1, tmp_path / "logs", fake_command(tmp_path)) == 0
    assert (fit.folder / "calls").read_text() == "anew\nlast\n"


def test_means_and_intervals_by_hand() -> None:
    # 1, 2, 3: SD 1, t(2) = 4.303: 4.303 / sqrt(3) = 2.484
    three = estimate([1.0, 2.0, 3.0])
    assert three is not None
    assert (three.mean, three.runs) == (2.0, 3)
    assert three.half == pytest.approx(2.484, abs=1e-3)
    assert estimate([]) is None
    assert estimate([0.3]) == Estimate(0.3, None, 1)
    assert show(Estimate(0.241, 0.02, 9), signed=True) == "+24.1 ± 2.0"
    assert show(Estimate(0.3, None, 1)) == "30.0"
    assert show(None) == "-"


def test_errors_of_the_prior_are_those_that_take_the_favourite(tmp_path: Path) -> None:
    prior = Prior(0)
    lines, expected = [], [0, 0, 0]
    for seed in range(40):
        for query in queries(make_scene(seed)):
            favourite = prior.favourite(query)[0]
            choice = [favourite, query.answer][len(lines) % 2]
            record = {"task": query.kind, "question": query.text, "answer": query.answer, "choice": choice}
            lines.append(json.dumps(record) + "\n")
            if favourite != query.answer:
                expected[0] += 1
                expected[1 + (choice == query.answer)] += 1
    (tmp_path / "items.jsonl").write_text("".join(lines))
    assert prior_errors(tmp_path / "items.jsonl", prior) == PriorErrors(*expected)
    assert min(expected) > 100


def test_the_shipped_bases_card_is_read() -> None:
    fit = Fit(Path(), WORLD, "videosavi", 0)
    assert taught_with(fit) == 0
    assert advantage(fit) == pytest.approx(0.800 - 0.493)


def write_run(fit: Fit, lift: float) -> None:
    """A made-up finished run: its last round lies `lift` above 60 %."""
    results = make_results(4)
    results["rounds"][-1]["accuracy"] += lift
    (fit.folder / "items").mkdir(parents=True)
    (fit.folder / "results.json").write_text(json.dumps(results))
    (fit.folder / "summary.png").touch()
    scene = make_scene(1)
    for number in range(5):
        items = [
            {"task": q.kind, "question": q.text, "answer": q.answer, "choice": q.answer if number > 2 else "none"}
            for q in queries(scene)
        ]
        lines = "".join(json.dumps(item) + "\n" for item in items)
        (fit.folder / "items" / f"round_{number:02d}.jsonl").write_text(lines)


def test_the_page_is_made_of_result_files_alone(tmp_path: Path) -> None:
    fits, measurements = plan(tmp_path / "study", [WORLD], [0, 1, 2], quick=False)
    by_name = {fit.name: fit for fit in fits}
    for seed, lift in enumerate((0.0, 0.01, 0.02)):
        write_run(by_name[f"videosavi-{seed}"], lift)
        write_run(by_name[f"control_random-{seed}"], lift - 0.2)
    write_page(fits, measurements, tmp_path / "paper.md")
    page = (tmp_path / "paper.md").read_text()
    assert "They rest on one base" in page
    # 60, 61, 62: SD 1 point, ± 2.484; 20 points less, each from a base of 40.
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.count("`") == 2 and line.startswith("|")}
    assert "| 3 | 61.0 ± 2.5 | +21.0 ± 2.5 |" in rows["videosavi"]
    assert "| 3 | 41.0 ± 2.5 | +1.0 ± 2.5 | -20.0 ± 0.0 |" in rows["control_random"]
    assert "| 0 | - | - | - |" in rows["sft"]
    # 60 factual errors before, 60 · 0.67⁴ = 12 after four rounds.
    assert "| factual inaccuracy | 60.0 ± 0.0 |" in page
    assert "| 12.0 ± 0.0 | 80.0 ± 0.0 | 73 |" in page
    assert "| adversarial | 100.0 ± 0.0 |" in page
    assert {path.name for path in (tmp_path / "paper").iterdir()} == {"rounds.png", "critic.png", "deciding.png"}
    write_page(fits, measurements, tmp_path / "again.md")
    assert (tmp_path / "again.md").read_text().replace("again/", "paper/") == page


def test_a_page_without_a_run_is_dashes(tmp_path: Path) -> None:
    fits, measurements = plan(tmp_path / "study", [WORLD], [0], quick=True)
    assert read_fits(fits) == {}
    write_page(fits, measurements, tmp_path / "paper.md")
    assert "0 of 11 runs are finished" in (tmp_path / "paper.md").read_text()
