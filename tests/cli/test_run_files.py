"""A run's own files, whatever loggers and callbacks the user adds: metrics.csv, the folder, last.ckpt."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from savi.cli import main
from savi.training.loggers import ResumableCSVLogger, build_loggers
from savi.training.run_folder import run_folder, run_name
from savi.types import SaviError

DEMO = Path(__file__).parents[2] / "experiments" / "demo.yaml"


class NeedsAnotherPackage(CSVLogger):
    """A logger as those of services are: it asks for its package when it is made."""

    def __init__(self) -> None:
        raise ModuleNotFoundError("No module named 'a_service'. HINT: pip install a_service")


def arguments(runs: Path, *more: str) -> list[str]:
    small = ["--data.clip_count=4", "--data.benchmark_clips=2", "--trainer.enable_progress_bar=false"]
    return ["fit", f"--config={DEMO}", f"--runs={runs}", *small, *more]


def own_logger_and_checkpoint(folder: Path) -> list[str]:
    loggers = [{"class_path": name, "init_args": {"save_dir": str(folder)}} for name in ("TensorBoardLogger",)]
    loggers.append({"class_path": "CSVLogger", "init_args": {"save_dir": str(folder), "name": "csv"}})
    best = {"class_path": "ModelCheckpoint", "init_args": {"monitor": "val/accuracy", "dirpath": str(folder / "best")}}
    return [f"--trainer.logger={json.dumps(loggers)}", f"--trainer.callbacks={json.dumps([best])}"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two rounds with loggers and a checkpoint of the user's own, in `own/`."""
    runs = tmp_path_factory.mktemp("runs")
    main(arguments(runs, "--trainer.max_epochs=2", *own_logger_and_checkpoint(runs / "own")))
    return runs


def column(path: Path, name: str) -> list[float]:
    with path.open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row.get(name)]


def test_the_users_loggers_get_what_the_metrics_file_gets(runs: Path) -> None:
    own = runs / "demo" / "version_0" / "metrics.csv"
    events = EventAccumulator(str(runs / "own" / "lightning_logs" / "version_0"))
    events.Reload()
    for name in ("loss", "rewards/margins", "val/accuracy", "pairs/total"):
        assert column(own, name)
        assert column(runs / "own" / "csv" / "version_0" / "metrics.csv", name) == column(own, name)
        assert [event.value for event in events.Scalars(name)] == pytest.approx(column(own, name))


def test_the_users_checkpoint_stands_next_to_the_runs_own(runs: Path) -> None:
    checkpoints = sorted(path.name for path in (runs / "demo" / "version_0" / "checkpoints").iterdir())
    assert checkpoints == ["last.ckpt", "round_00.ckpt", "round_01.ckpt"]
    assert list((runs / "own" / "best").glob("*.ckpt"))


def test_such_a_run_is_resumed_and_not_begun_again(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs, tmp_path / "moved")
    run = tmp_path / "moved" / "demo" / "version_0"
    before = {path: path.read_bytes() for path in (run / "pairs").iterdir()}
    more = own_logger_and_checkpoint(tmp_path / "moved" / "own")
    main(arguments(tmp_path / "moved", "--trainer.max_epochs=3", "--ckpt_path=last", *more))
    assert before == {path: path.read_bytes() for path in before}
    assert [entry["round"] for entry in json.loads((run / "results.json").read_text())["rounds"]] == [0, 1, 2, 3]
    checkpoints = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert checkpoints == ["last.ckpt", "round_00.ckpt", "round_01.ckpt", "round_02.ckpt"]
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 2


def test_a_logger_whose_package_is_missing_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments(tmp_path, f"--trainer.logger={__name__}.NeedsAnotherPackage"))
    assert stop.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("savi:")]
    assert "NeedsAnotherPackage: No module named 'a_service'. HINT: pip install a_service" in line


@pytest.mark.parametrize("given", [None, True, False])
def test_the_metrics_file_needs_no_other_logger(given: bool | None, tmp_path: Path) -> None:
    (own,) = build_loggers(tmp_path, "demo", 3, "off", None, given)
    assert isinstance(own, ResumableCSVLogger)


def test_a_logger_that_would_write_the_metrics_file_too_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SaviError, match=r"version_0/metrics.csv is savi's own"):
        build_loggers(tmp_path, "demo", 0, "off", None, CSVLogger(tmp_path, name="demo"))


@pytest.mark.parametrize("own_first", [True, False])
def test_the_folder_of_a_run_does_not_depend_on_the_order_of_its_loggers(own_first: bool, tmp_path: Path) -> None:
    loggers: list[Logger] = [ResumableCSVLogger(tmp_path, "demo", 0, None), TensorBoardLogger(tmp_path / "other")]
    trainer = Trainer(
        accelerator="cpu",
        logger=loggers if own_first else loggers[::-1],
        default_root_dir=tmp_path / "demo" / "version_0",
    )
    assert run_folder(trainer) == tmp_path / "demo" / "version_0"
    assert run_name(trainer) == "demo"


def test_a_trainer_without_loggers_has_a_folder_and_a_name(tmp_path: Path) -> None:
    trainer = Trainer(accelerator="cpu", logger=False, default_root_dir=tmp_path / "mine")
    assert run_folder(trainer) == tmp_path / "mine"
    assert run_name(trainer) == "mine"
