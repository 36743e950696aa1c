"""metrics.csv: every step once, however often the run was killed and resumed."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities import rank_zero_only

from savi.files import replacing
from savi.record.metrics import read_rows


class ResumableCSVLogger(CSVLogger):
    """A CSVLogger that appends to the file of the run that it resumes. Lightning's deletes it.

    resume_step: the optimizer steps that the checkpoint has taken. Rows count steps from 0: those of later steps are
    dropped, for the resumed run writes them again. None to begin a new file.
    """

    def __init__(self, save_dir: Path, name: str, version: int | str, resume_step: int | None) -> None:
        super().__init__(save_dir, name=name, version=version, flush_logs_every_n_steps=1)
        self.resume_step = resume_step

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The writer; None before the first row.

        Lightning asks for it before it looks at the data and the model: a start that is refused there changes no file.
        """
        return self._experiment

    @rank_zero_only
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        self._begin()
        super().log_metrics(metrics, step)

    @rank_zero_only
    def log_hyperparams(self, params: Any = None) -> None:
        self._begin()
        super().log_hyperparams(params)

    @rank_zero_only
    def save(self) -> None:
        if self._experiment is not None:
            super().save()

    def _begin(self) -> None:
        if self._experiment is None:
            self._experiment = _Rows(self.log_dir, self.resume_step)


class _Rows(ExperimentWriter):
    """Lightning's writer of a CSV file, which keeps earlier rows, and replaces the file whole where it rewrites it."""

    def __init__(self, folder: str, resume_step: int | None) -> None:
        self._resume_step = -1 if resume_step is None else resume_step
        super().__init__(folder)

    def _check_log_dir_exists(self) -> None:
        path = Path(self.metrics_file_path)
        if path.is_file():
            rows = [row for row in read_rows(path) if int(row["step"]) < self._resume_step]
            self.metrics_keys = list(rows[0]) if rows else []
            self._replace(rows, self.metrics_keys)

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        self._replace(read_rows(Path(self.metrics_file_path)), fieldnames)

    def _replace(self, rows: Sequence[Mapping[str, str]], names: Sequence[str]) -> None:
        path = Path(self.metrics_file_path)
        if not names:
            path.unlink()
            return
        with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)
