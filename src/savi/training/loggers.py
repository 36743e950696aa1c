"""Where metrics go: always metrics.csv in the run's folder; next to it the user's loggers, and W&B by one switch."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger, Logger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from savi.distributed.failures import is_first
from savi.errors import SaviError
from savi.record.metrics import METRICS, read_rows
from savi.training.metrics_file import ResumableCSVLogger

WandbMode = Literal["off", "offline", "online"]

STEP = "trainer/global_step"
"""Lightning's name of the optimizer step in W&B."""

MOST_OF_A_TAG = 64
"""Characters that W&B takes."""

NOT_IN_AN_ID = re.compile(r"[/\\#?%:;,]|^\s")
"""What W&B refuses in a run's id."""


class RunWandbLogger(WandbLogger):
    """The WandbLogger of a run's folder, for which a missing login or network is the user's to put right.

    W&B can't take back what was logged. A resumed run that is offline therefore begins a folder of its own: it has the
    rows of metrics.csv before the checkpoint, then the new ones, so that every step is in it once. Folders of earlier
    starts go to `wandb/superseded`. Online, the steps between the checkpoint and the kill are in the run twice.
    """

    def __init__(
        self, folder: Path, name: str, version: int | str, offline: bool, resume_step: int | None, tags: Iterable[str]
    ) -> None:
        super().__init__(
            project="savi",
            name=f"{name}-{version:03d}" if isinstance(version, int) else f"{name}-{version}",
            group=os.environ.get("WANDB_RUN_GROUP", name),
            job_type="fit" if isinstance(version, int) else "evaluate",
            tags=[tag[:MOST_OF_A_TAG] for tag in (*tags, *os.environ.get("WANDB_TAGS", "").split(",")) if tag],
            save_dir=folder,
            offline=offline,
            resume="allow",
        )
        self._folder = folder
        self._id_begins = NOT_IN_AN_ID.sub("-", f"{name}-{version}")
        self._resume_step = resume_step
        self._has_data_folder = False
        self._axes: set[str] = set()
        self.begun = False

    @property
    def repeats_earlier_rounds(self) -> bool:
        """Whether the metrics of earlier rounds have to be logged again."""
        return self._offline and self._resume_step is not None

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """Raises AttributeError before begin(): Lightning asks before it has looked at the data and the model."""
        if not self.begun:
            raise AttributeError("the W&B run begins with the fit")
        return super().experiment

    @rank_zero_only
    def begin(self) -> None:
        """Begin the W&B run. Raises SaviError where that is impossible."""
        if self.begun:
            return
        from wandb.errors import Error as WandbError

        self.begun = True
        # Not before it is needed: processes that start later would take this folder for an earlier run's.
        self._folder.mkdir(parents=True, exist_ok=True)
        # Otherwise W&B keeps an offline run's pictures under the user's home, where a copied run would miss them.
        self._has_data_folder = "WANDB_DATA_DIR" not in os.environ
        os.environ.setdefault("WANDB_DATA_DIR", str(self._folder.resolve()))
        self._wandb_init["id"] = self._id = f"{self._id_begins}-{_birth(self._folder)}"
        if self.repeats_earlier_rounds:
            _put_aside(self._folder / "wandb")
        try:
            experiment = self.experiment
        except WandbError as error:
            self.begun = False
            reason = str(error).split("\n")[0]
            if self._offline:
                raise SaviError(f"--wandb offline: {reason}") from None
            raise SaviError(f"--wandb online: {reason} (--wandb offline needs no account and no network)") from None
        experiment.define_metric("round")
        if self.repeats_earlier_rounds:
            for row in read_rows(self._folder / METRICS):
                if int(row["step"]) < (self._resume_step or 0):
                    numbers = _numbers(row)
                    self._choose_axes(numbers)
                    experiment.log(numbers)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.begin()
        self._choose_axes(metrics)
        super().log_metrics(metrics, step)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        super().finalize(status)
        if self._has_data_folder:
            os.environ.pop("WANDB_DATA_DIR", None)  # another run of this process has a folder of its own

    def _choose_axes(self, names: Iterable[str]) -> None:
        """Draw by round what is logged with its round, and the rest by optimizer step.

        By whole names: W&B doesn't say which of two patterns wins, and Lightning has set one for all names.
        """
        new = set(names) - self._axes
        self._axes |= new
        axis = "round" if "round" in names else STEP
        for name in sorted(new - {"round", "epoch", STEP}):
            self.experiment.define_metric(name, step_metric=axis)


def build_loggers(
    root: Path,
    name: str,
    version: int | str,
    wandb: WandbMode,
    resume_step: int | None,
    given: Logger | Iterable[Logger] | bool | None = None,
    tags: Iterable[str] = (),
) -> list[Logger]:
    """The loggers of a run: its metrics file, those that the user has `given` (Trainer's `logger`), and W&B if asked.

    version: a fit's number, or the folder of an evaluation. tags: of the W&B run, next to those in WANDB_TAGS.
    Raises SaviError for a CSVLogger of the user's that would write the same file.
    """
    own = ResumableCSVLogger(root, name, version, resume_step)
    users = [given] if isinstance(given, Logger) else [] if given is None or isinstance(given, bool) else list(given)
    for logger in users:
        if isinstance(logger, CSVLogger) and Path(logger.log_dir).absolute() == Path(own.log_dir).absolute():
            raise SaviError(f"trainer.logger: {own.log_dir}/metrics.csv is savi's own; give the logger another name")
    loggers: list[Logger] = [own, *users]
    if wandb != "off" and is_first():
        loggers.append(RunWandbLogger(Path(own.log_dir), name, version, wandb == "offline", resume_step, tags))
    return loggers


def _birth(folder: Path) -> str:
    """Tells this run from one of the same name on another day, and stays the same when it is resumed."""
    mark = folder / "wandb_id.txt"
    if not mark.is_file():
        mark.write_text(f"{folder.stat().st_ctime_ns:x}"[-10:])
    return mark.read_text()


def _put_aside(folder: Path) -> None:
    """Offline runs of earlier starts, so that syncing all of `wandb` uploads each step once."""
    for earlier in folder.glob("offline-run-*"):
        (folder / "superseded").mkdir(exist_ok=True)
        earlier.rename(folder / "superseded" / earlier.name)


def _numbers(row: Mapping[str, str]) -> dict[str, float]:
    """A row of metrics.csv as it was logged."""
    numbers: dict[str, float] = {name: float(text) for name, text in row.items() if text and name != "step"}
    if "epoch" in numbers:
        numbers["epoch"] = int(numbers["epoch"])
    return {**numbers, STEP: int(row["step"])}
