"""The beta of DPO by the learning rate on the demo, with Optuna: python experiments/sweeps/beta_and_rate.py

Each trial is a run of savi, whose figures are those of the development set. A trial is pruned after a round in which it
is worse than the median of the others. Optuna keeps the trials in one file. A killed sweep resumes when the same
command runs again: finished trials stay, and the trial that was killed resumes its run where it stopped. docs/sweeps.md
has a sweep of six trials.
"""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from itertools import product
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState

import savi

BETAS = (0.3, 1.0)
RATES = (1e-4, 5e-4, 2e-3)
ALIVE = 10
"""Seconds between two signs of life of a trial. After three times as many it counts as killed."""


def main(arguments: list[str] | None = None) -> optuna.Study:
    """Run what is missing of the sweep, and print a line for each trial."""
    given = _parse(arguments)
    given.runs.mkdir(parents=True, exist_ok=True)
    storage = optuna.storages.RDBStorage(
        f"sqlite:///{given.runs / 'optuna.db'}", heartbeat_interval=ALIVE, grace_period=3 * ALIVE
    )
    study = optuna.create_study(
        study_name="beta_and_rate",
        storage=storage,
        load_if_exists=True,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=0),
    )
    while _enqueue(study):
        study.optimize(lambda trial: measure(trial, given), n_trials=1)
    for trial in study.trials:
        if trial.state != TrialState.FAIL:  # of a killed trial, which was begun again
            rounds = ", ".join(f"{100 * value:.1f}" for value in trial.intermediate_values.values())
            print(f"{trial.state.name.lower():8}  {_name(trial.params):20}  % right by round: {rounds}")
    print(f"best: {_name(study.best_params)}")
    return study


def _enqueue(study: optuna.Study) -> int:
    """Enqueue the points of the grid that no trial has. The number of trials that wait."""
    optuna.storages.fail_stale_trials(study)
    states = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.WAITING)
    there = [trial.params or trial.system_attrs["fixed_params"] for trial in study.get_trials(states=states)]
    for beta, rate in product(BETAS, RATES):
        if (point := {"beta": beta, "rate": rate}) not in there:
            study.enqueue_trial(point)
    return len(study.get_trials(states=[TrialState.WAITING]))


def measure(trial: optuna.Trial, given: Namespace) -> float:
    """The share of right answers after the last round, 0 to 1. Raises TrialPruned after a round that is too bad."""
    point = {"beta": trial.suggest_categorical("beta", BETAS), "rate": trial.suggest_categorical("rate", RATES)}
    accuracy = 0.0
    for rounds in range(1, given.rounds + 1):
        accuracy = _train(_name(point), point, rounds, given)
        trial.report(accuracy, rounds)
        if rounds < given.rounds and trial.should_prune():
            raise optuna.TrialPruned
    return accuracy


def _train(name: str, point: dict[str, Any], rounds: int, given: Namespace) -> float:
    """The accuracy after a number of rounds; a run that has them already isn't trained again."""
    place = given.runs / name / "version_0"
    settings = {
        "model": {"dpo.beta": point["beta"], "optimizer.lr": point["rate"]},
        "data": {"clip_count": given.clips, "benchmark_clips": given.questions // 3},
        "trainer.max_epochs": rounds,
    }
    if rounds not in (measured := _measured(place)):
        savi.align(settings=settings, name=name, runs=given.runs, resume=place.is_dir())
        measured = _measured(place)
    return measured[rounds]


def _measured(place: Path) -> dict[int, float]:
    """The accuracy by round, of the rounds that a checkpoint is there of."""
    if not (place / "results.json").is_file():
        return {}
    entries = json.loads((place / "results.json").read_text())["rounds"]
    kept = len(list((place / "checkpoints").glob("round_*.ckpt")))
    return {one["round"]: one["benchmarks"]["world"]["accuracy"] for one in entries if one["round"] <= kept}


def _name(point: dict[str, Any]) -> str:
    return f"beta_{point['beta']}_rate_{point['rate']}"


def _parse(arguments: list[str] | None) -> Namespace:
    parser = ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("lightning_logs/sweep"), help="folder of the runs")
    parser.add_argument("--clips", type=int, default=320, help="clips to learn from")
    parser.add_argument("--questions", type=int, default=360, help="questions of the development set, three a clip")
    parser.add_argument("--rounds", type=int, default=4)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
