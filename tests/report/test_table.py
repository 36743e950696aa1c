"""The table at the end of a run says what changed, by how much, and where to look."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from savi.evaluation.measured import read_results
from savi.report.table import build_table, own_command, print_evaluation, print_places, print_table
from tests.report.made_up_runs import as_before, make_results, measured_on, with_benchmarks, without_benchmark

GREEN, RED = "32m", "31m"
"""The ends of the terminal's codes for colours, whatever else is set with them."""


def printed(results: dict[str, Any], width: int = 100, color: bool = False) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=color, color_system="standard" if color else None)
    print_table(results, console)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # a StringIO


def row(lines: list[str], name: str) -> list[str]:
    """The cells of the row that begins with a name."""
    (found,) = [line for line in lines if line.strip("│ ").startswith(name + " ")]
    return [cell.strip() for cell in found.strip("│").split("│")]


def test_rows_go_from_the_base_to_the_last_round() -> None:
    lines = printed(make_results(4))
    assert row(lines, "Rendered world") == ["Rendered world", "40.0 %", "60.0 %", "+20.0"]
    assert row(lines, "order") == ["order", "40.0 %", "60.0 %", "+20.0"]
    assert row(lines, "motion") == ["motion", "39.0 %", "59.0 %", "+20.0"]
    assert row(lines, "free-form replies") == ["free-form replies", "35.0 %", "55.0 %", "+20.0"]
    assert row(lines, "malformed replies") == ["malformed replies", "2.0 %", "1.2 %", "-0.8"]
    assert row(lines, "errors") == ["errors", "255", "49", "-206"]
    assert row(lines, "factual inaccuracy") == ["factual inaccuracy", "60", "12", "-48"]
    heading = next(line for line in lines if "change" in line)
    assert re.findall(r"base|round \d+|change", heading) == ["base", "round 4", "change"]


def test_better_is_green_and_worse_is_red() -> None:
    results = make_results(1)
    first, last = (entry["benchmarks"]["world"] for entry in results["rounds"])
    last["by_task"]["motion"] = first["by_task"]["motion"] - 0.1
    last["by_task"]["order"] = first["by_task"]["order"]
    last["malformed"] = first["malformed"] + 0.1
    last["errors"]["causal reasoning"] = first["errors"]["causal reasoning"] + 1
    lines = printed(results, color=True)

    def line(name: str) -> str:
        return next(line for line in lines if name in line)

    assert GREEN in line("Rendered world  ")
    assert RED in line("motion")
    assert RED not in line("order")
    assert GREEN not in line("order")
    assert RED in line("malformed"), "more malformed replies are worse"
    assert RED in line("causal reasoning"), "more errors are worse"
    assert GREEN in line("factual inaccuracy")


def test_it_says_where_to_look(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=60, force_terminal=True)
    run = tmp_path / ("long" * 30)
    run.mkdir()
    print_places(run, console)
    (run / "summary.png").touch()
    print_places(run, console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # a StringIO
    assert len([line for line in lines if line.strip() == str(run)]) == 3, "no path is cut"


def test_no_line_is_wider_than_the_terminal() -> None:
    lines = printed(make_results(12), width=80, color=True)
    assert "Learned from 7122" in " ".join(lines)
    assert max(len(re.sub("\x1b.*?m", "", line)) for line in lines) <= 80


def test_a_run_without_benchmark_says_what_it_learned_from() -> None:
    lines = printed(without_benchmark(make_results(1)))
    assert lines == ["Learned from 599 pairs that the model made itself (599)."]


def test_tasks_and_kinds_that_are_missing_on_one_side_are_shown() -> None:
    results = make_results(1)
    del results["rounds"][0]["benchmarks"]["world"]["by_task"]["motion"]
    results["rounds"][1]["benchmarks"]["world"]["errors"] = {"new kind": 3}
    lines = printed(results)
    assert row(lines, "motion") == ["motion", "-", "44.0 %", ""]
    assert row(lines, "new kind") == ["new kind", "0", "3", "+3"]
    assert row(lines, "factual inaccuracy") == ["factual inaccuracy", "60", "0", "-60"]


def test_a_benchmark_without_kinds_of_errors_has_no_such_rows() -> None:
    assert not any("errors" in line for line in printed(make_results(1, kinds=())))


def test_a_run_that_was_stopped_before_its_first_round_shows_the_base() -> None:
    lines = printed(make_results(0))
    assert row(lines, "Rendered world")[1] == "40.0 %"


def test_one_measurement_stands_alone() -> None:
    (base,) = make_results(0)["rounds"]
    table = build_table("demo", base, base)
    assert [column.header for column in table.columns] == ["accuracy", "base"]


def test_benchmarks_stand_beside_the_papers_figures() -> None:
    lines = printed(with_benchmarks(make_results(2)))
    assert row(lines, "MVBench") == [
        "MVBench",
        "50.0 %",
        "58.0 %",
        "+8.0",
        "53.0 to 63.0",
        "3 of 200",
        "69.8 \N{RIGHTWARDS ARROW} 74.0",
    ]
    assert row(lines, "EgoSchema")[:5] == ["EgoSchema", "-", "-", "", ""]
    once = with_benchmarks(make_results(0))
    assert row(printed(once), "MVBench")[:3] == ["MVBench", "50.0 %", "45.0 to 55.0"]


@pytest.mark.parametrize("of", [{"miniature": True}, {"scorer": "likelihood"}], ids=["miniature", "likelihood"])
def test_figures_that_dont_compare_stand_without_the_papers(of: dict[str, Any]) -> None:
    results = with_benchmarks(make_results(2))
    for entry in results["rounds"]:
        for name, summary in entry["benchmarks"].items():
            summary |= of if name != "world" else {}
    lines = printed(results)
    assert row(lines, "MVBench")[1:3] == ["50.0 %", "58.0 %"]
    assert "paper" not in "".join(lines)
    assert "74.0" not in "".join(lines)


@pytest.mark.parametrize(
    "other",
    [
        measured_on("forms", 40),
        measured_on(clips=60),
        measured_on(frames=16),
        measured_on(seed=1),
        measured_on(wording="natural"),
        measured_on(items=6),
    ],
    ids=["another set", "other clips", "other frames", "another seed", "other words", "part of the set"],
)
def test_figures_of_different_sets_are_not_compared(other: dict[str, Any]) -> None:
    results = make_results(2)
    results["rounds"][0]["benchmarks"]["world"]["measured_on"] = other
    lines = printed(results, width=160)
    assert row(lines, "Rendered world") == ["Rendered world", "45.0 %", "50.0 %", "+5.0"]
    assert row(lines, "free-form replies")[1:3] == ["40.0 %", "45.0 %"], "those of rounds 1 and 2"
    (said,) = [line for line in lines if "not compared" in line]
    assert said.startswith("Rendered world, not compared: base on ")
    results["rounds"][1]["benchmarks"]["world"]["measured_on"] = other
    assert row(printed(results, width=160), "Rendered world") == ["Rendered world", "50.0 %"]


def test_a_figure_says_what_it_was_measured_on() -> None:
    results = make_results(1)
    for entry in results["rounds"]:
        entry["benchmarks"]["world"]["measured_on"] |= {"items": 6, "of": 12, "clips": 2, "frame_pixels": 9216}
    said = "Rendered world: 6 of 12 questions on 2 clips (test, seed 0, 32 frames, at most 9216 pixels, likelihood of "
    assert any(line.startswith(said) for line in printed(results, width=160))
    for entry in results["rounds"]:
        entry["benchmarks"]["world"]["measured_on"]["wording"] = "natural"
    assert any("(test, natural wording, seed 0" in line for line in printed(results, width=160))


def test_figures_of_an_older_savi_are_of_the_default_wording() -> None:
    results = make_results(1)
    del results["rounds"][0]["benchmarks"]["world"]["measured_on"]["wording"]
    lines = printed(results, width=160)
    assert row(lines, "Rendered world")[1:3] == ["40.0 %", "45.0 %"]
    assert not [line for line in lines if "not compared" in line]


def test_a_round_that_was_stopped_is_said_to_be() -> None:
    results = make_results(2)
    del results["rounds"][2]["benchmarks"]
    results["rounds"][2]["steps"] = {"taken": 1, "planned": 3}
    lines = printed(results)
    assert row(lines, "Rendered world") == ["Rendered world", "40.0 %", "45.0 %", "+5.0"]
    assert "Round 2 stopped after 1 of 3 steps and was not evaluated." in lines


def test_an_older_runs_results_give_the_same_table(tmp_path: Path) -> None:
    results = as_before(make_results(2))
    (tmp_path / "results.json").write_text(json.dumps(results))
    lines = printed(read_results(tmp_path / "results.json"))
    assert row(lines, "Rendered world") == ["Rendered world", "40.0 %", "50.0 %", "+10.0"]
    assert row(lines, "errors")[1:] == row(printed(make_results(2)), "errors")[1:]


def test_an_evaluation_says_what_it_measured() -> None:
    results = make_results(2)
    console = Console(file=io.StringIO(), width=100)
    last = results["rounds"][2] | {"checkpoint": "runs/demo/version_0/checkpoints/last.ckpt"}
    print_evaluation({**results, "rounds": [last]}, console)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # a StringIO
    assert row(lines, "Rendered world") == ["Rendered world", "50.0 %"]
    checkpoint = "runs/demo/version_0/checkpoints/last.ckpt"
    assert lines[-1] == f"Measured: round 2 of demo, from {checkpoint}."
    assert not any("Learned from" in line for line in lines)


def test_the_command_that_is_named_is_found_by_the_readers_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "savi").touch(mode=0o755)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("sys.argv", [".venv/bin/savi", "fit"])
    assert own_command() == ".venv/bin/savi"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert own_command() == "savi"
    monkeypatch.setattr("sys.argv", ["somebodys_own.py"])
    monkeypatch.setenv("PATH", "")
    assert own_command() == "savi"
