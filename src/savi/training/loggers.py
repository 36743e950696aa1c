"""Where metrics go: always metrics.csv in the run's folder; next to it the user's loggers, and W&B by one switch."""

from __future__ import annotations

import csv
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from lightning import Callback, LightningModule, Trainer
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger

from savi.training.processes import is_first
from savi.types import SaviError

WandbMode = Literal["off", "offline", "online"]


class ResumableCSVLogger(CSVLogger):
    """A CSVLogger that goes on with its file. Lightning's deletes it when a run is resumed.

    resume_step: rows of later steps are dropped, for the resumed run writes them again.
    """

    def __init__(self, save_dir: Path, name: str, version: int | str, resume_step: int | None) -> None:
        super().__init__(save_dir, name=name, version=version, flush_logs_every_n_steps=1)
        self.resume_step = resume_step
        self._begun = False

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        if self._begun:
            return super().experiment
        self._begun = True
        rows = self._earlier_rows()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Experiment logs directory .* exists and is not empty")
            writer: Any = super().experiment
        writer.metrics = rows
        return writer

    def _earlier_rows(self) -> list[dict[str, Any]]:
        path = Path(self.log_dir) / "metrics.csv"
        if self.resume_step is None or not path.is_file():
            return []
        with path.open(newline="") as file:
            rows = [{k: v for k, v in row.items() if v != ""} for row in csv.DictReader(file)]
        return [row for row in rows if int(row["step"]) <= self.resume_step]


class RunWandbLogger(WandbLogger):
    """The WandbLogger of a run's folder, for which a missing login or network is the user's to put right.

    Asking wandb for its key beforehand would be shorter, but spoils a later offline run in the same process.
    """

    def __init__(self, folder: Path, name: str, offline: bool) -> None:
        super().__init__(project="savi", name=name, save_dir=folder, offline=offline, resume="allow")
        self._folder = folder

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """Raises: SaviError, where W&B can't begin the run."""
        from wandb.errors import Error as WandbError

        if self._wandb_init["id"] is None:
            # Not before it is needed: processes that start later would take this folder for an earlier run's.
            self._folder.mkdir(parents=True, exist_ok=True)
            self._wandb_init["id"] = self._id = f"{self._name}-{_birth(self._folder)}"
        try:
            return super().experiment
        except WandbError as error:
            reason = str(error).split("\n")[0]
            raise SaviError(f"--wandb online: {reason} (--wandb offline needs no account and no network)") from None


def build_loggers(
    root: Path,
    name: str,
    version: int | str,
    wandb: WandbMode,
    resume_step: int | None,
    given: Logger | Iterable[Logger] | bool | None = None,
) -> list[Logger]:
    """The loggers of a run: its metrics file, those that the user has `given` (Trainer's `logger`), and W&B if asked.

    Raises SaviError for a CSVLogger of the user's that would write the same file.
    """
    own = ResumableCSVLogger(root, name, version, resume_step)
    users = [given] if isinstance(given, Logger) else [] if given is None or isinstance(given, bool) else list(given)
    for logger in users:
        if isinstance(logger, CSVLogger) and Path(logger.log_dir).absolute() == Path(own.log_dir).absolute():
            raise SaviError(f"trainer.logger: {own.log_dir}/metrics.csv is savi's own; give the logger another name")
    loggers: list[Logger] = [own, *users]
    if wandb != "off" and is_first():
        folder = Path(own.log_dir)
        # Otherwise W&B keeps an offline run's pictures under the user's home, where a copied run would miss them.
        os.environ.setdefault("WANDB_DATA_DIR", str(folder.resolve()))
        loggers.append(RunWandbLogger(folder, f"{name}-{version}", offline=wandb == "offline"))
    return loggers


def _birth(folder: Path) -> str:
    """Tells this run from one of the same name on another day, and stays the same when it is resumed."""
    mark = folder / "wandb_id.txt"
    if not mark.is_file():
        mark.write_text(f"{folder.stat().st_ctime_ns:x}"[-10:])
    return mark.read_text()


class SettingsToLoggers(Callback):
    """Hands a run's settings to the user's loggers, as Lightning does with hyperparameters (`enable_autolog_hparams`).

    settings: nested, as config.yaml has them.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for logger in trainer.loggers:
            if trainer.enable_autolog_hparams and not isinstance(logger, ResumableCSVLogger):
                logger.log_hyperparams(self.settings)
