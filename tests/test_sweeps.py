"""The sweep of experiments/sweeps: every point of its grid once, and a killed trial from where its run was."""

from __future__ import annotations

import json
import runpy
import sqlite3
from pathlib import Path
from typing import Any

import optuna
import pytest

import savi

SCRIPT = Path(__file__).parents[1] / "experiments" / "sweeps" / "beta_and_rate.py"


BAD = (1.0, 5e-4)
"""The point that is far behind the others after its first round."""


def accuracy(settings: dict[str, Any], rounds: int) -> float:
    beta, rate = settings["model"]["dpo.beta"], settings["model"]["optimizer.lr"]
    return 0.1 * rounds + (rounds == 2) * (10 * rate + 0.01 * beta) - 0.05 * ((beta, rate) == BAD)


class Runs:
    """`savi.align` without a model: the files that the sweep reads. Each call is (name, rounds, resumed)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, bool]] = []
        self.killed_at = 0

    def align(self, *, settings: dict[str, Any], name: str, runs: Path, resume: bool) -> None:
        rounds = settings["trainer.max_epochs"]
        self.calls.append((name, rounds, resume))
        run = runs / name / "version_0"
        run.mkdir(parents=True, exist_ok=True)
        (run / "lock").touch()
        if len(self.calls) == self.killed_at:
            raise KeyboardInterrupt
        (run / "checkpoints").mkdir(parents=True, exist_ok=True)
        (run / "config.yaml").touch()
        entries = []
        for number in range(rounds + 1):
            entries.append({"round": number, "benchmarks": {"world": {"accuracy": accuracy(settings, number)}}})
        for number in range(rounds):
            (run / "checkpoints" / f"round_{number:02d}.ckpt").touch()
        (run / "results.json").write_text(json.dumps({"rounds": entries}))


def test_a_killed_sweep_ends_with_every_point_once_and_trains_no_round_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = Runs()
    monkeypatch.setattr(savi, "align", runs.align, raising=False)
    script = runpy.run_path(str(SCRIPT))
    given = [f"--runs={tmp_path}", "--rounds=2"]
    runs.killed_at = 4  # the second trial, after its first round
    with pytest.raises(KeyboardInterrupt):
        script["main"](given)
    # A process that is killed leaves a trial that runs, with a last sign of life.
    with sqlite3.connect(tmp_path / "optuna.db") as database:
        (trial,) = database.execute("SELECT trial_id FROM trials WHERE state = 'FAIL'").fetchone()
        database.execute("UPDATE trials SET state = 'RUNNING' WHERE trial_id = ?", (trial,))
        database.execute("UPDATE trial_heartbeats SET heartbeat = datetime('now', '-1 hour')")
    before = list(runs.calls)
    study = script["main"](given)
    names = [f"beta_{beta}_rate_{rate}" for beta in script["BETAS"] for rate in script["RATES"]]
    assert before == [(names[0], 1, False), (names[0], 2, True), (names[1], 1, False), (names[1], 2, True)]
    later = runs.calls[4:]
    assert [call for call in later if call[0] == names[1]] == [(names[1], 2, True)]
    assert {call[0] for call in later} == set(names[1:])
    assert len(set(later)) == len(later), "no round is trained twice"
    settled = [trial for trial in study.trials if trial.state != optuna.trial.TrialState.FAIL]
    assert sorted(script["_name"](trial.params) for trial in settled) == sorted(names)
    (pruned,) = study.get_trials(states=[optuna.trial.TrialState.PRUNED])
    assert tuple(pruned.params.values()) == BAD
    assert study.best_params == {"beta": max(script["BETAS"]), "rate": max(script["RATES"])}
    assert capsys.readouterr().out.splitlines()[-1] == f"best: {names[-1]}"
    count = len(runs.calls)
    script["main"](given)
    assert len(runs.calls) == count, "a finished sweep runs nothing"


def test_a_trial_that_was_killed_before_its_run_began_resumes_in_the_same_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs()
    monkeypatch.setattr(savi, "align", runs.align, raising=False)
    script = runpy.run_path(str(SCRIPT))
    runs.killed_at = 1
    with pytest.raises(KeyboardInterrupt):
        script["main"]([f"--runs={tmp_path}", "--rounds=1"])
    script["main"]([f"--runs={tmp_path}", "--rounds=1"])
    first = runs.calls[0][0]
    assert [call for call in runs.calls if call[0] == first] == [(first, 1, False), (first, 1, True)]
