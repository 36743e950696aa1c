"""Experiment files and command lines with earlier names of settings: they work, with one line for each name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from savi.cli import main
from tests.test_cli import DEMO, complaint


def settings(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[dict[str, Any], list[str]]:
    """The resolved settings of a command, and the lines that savi says about it."""
    with pytest.raises(SystemExit) as stop:
        main(["fit", *arguments, "--print_config"])
    assert stop.value.code == 0
    said = capsys.readouterr()
    return yaml.safe_load(said.out), [line for line in said.err.splitlines() if line.startswith("savi:")]


def test_a_file_with_earlier_names_means_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"extends: {DEMO}\nmodel:\n  optimiser: {{lr: 0.25, clip_norm: '${{model.optimiser.lr}}'}}\n")
    found, lines = settings(capsys, f"--config={path}")
    assert found["model"]["optimizer"]["lr"] == found["model"]["optimizer"]["clip_norm"] == 0.25
    assert found["model"]["optimizer"]["warmup_steps"] == 0  # of the demo, under its name of now
    assert lines == [
        f"savi: {path}: model.optimiser is now called model.optimizer",
        f"savi: {path}: model.optimiser.lr is now called model.optimizer.lr",
    ]


@pytest.mark.parametrize(
    "given",
    [
        ["--model.optimiser.lr=0.25"],
        ["--model.optimiser.lr", "0.25"],
        ["--model.optimiser={lr: 0.25}"],
        ["--model={optimiser: {lr: 0.25}}"],
        ["--model.optimiser=FILE"],
        ["--model=MODEL"],
    ],
)
def test_a_command_line_with_earlier_names_means_the_same(
    given: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "optimizer.yaml").write_text("lr: 0.25\n")
    (tmp_path / "model.yaml").write_text("optimiser: {lr: 0.25}\n")
    paths = {"FILE": str(tmp_path / "optimizer.yaml"), "MODEL": str(tmp_path / "model.yaml")}
    for word, path in paths.items():
        given = [argument.replace(word, path) for argument in given]
    found, lines = settings(capsys, f"--config={DEMO}", *given)
    assert found["model"]["optimizer"]["lr"] == 0.25
    (line,) = lines
    assert line.startswith("savi: --model.optimiser")
    assert " is now called model.optimizer" in line


def test_names_of_now_are_taken_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    found, lines = settings(capsys, f"--config={DEMO}", "--model.optimizer.lr=0.25", "--model.optimizer={clip_norm: 2}")
    assert found["model"]["optimizer"]["clip_norm"] == 2
    assert lines == []


def test_a_value_that_is_wrong_is_the_parsers_to_refuse(capsys: pytest.CaptureFixture[str]) -> None:
    assert "model.optimizer.lr" in complaint(["fit", f"--config={DEMO}", "--model.optimizer.lr=[a"], capsys)
