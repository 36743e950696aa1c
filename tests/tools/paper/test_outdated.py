"""A finished run of settings that have changed since is told, and not taken for one of today's."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from savi.cli import main as savi
from tools.paper.__main__ import main
from tools.paper.outdated import outdated
from tools.paper.plan import Base, Fit


@pytest.fixture
def fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Fit:
    """A run that looks finished, with the settings that its command gives it."""
    fit = Fit(tmp_path / "study", Base("world"), "videosavi", 0, ("--data.benchmark_clips=120",))
    with pytest.raises(SystemExit):
        savi([*fit.command, "--print_config"])
    fit.folder.mkdir(parents=True)
    (fit.folder / "config.yaml").write_text(capsys.readouterr().out)
    (fit.folder / "summary.png").touch()
    return fit


def test_a_run_of_todays_settings_is_none(fit: Fit) -> None:
    assert outdated(fit) is None


def test_a_changed_setting_ends_the_study_in_one_line(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    config = fit.folder / "config.yaml"
    text = config.read_text()
    assert "beta: 1.0" in text
    config.write_text(text.replace("beta: 1.0", "beta: 0.3"))
    monkeypatch.setattr(sys, "argv", ["paper", "--quick", f"--study={fit.study}"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == (
        f"paper: {fit.folder}: model.dpo.beta is 0.3 there and 1.0 in experiments/paper/videosavi.yaml; move the run "
        "away, or take the change back"
    )
