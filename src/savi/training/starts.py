"""The settings of every start of a run: in its folder, in its checkpoints, and in the results of its rounds."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from typing import Any

import yaml
from jsonargparse import ArgumentParser, Namespace
from lightning import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from savi.distributed.collectives import from_rank_zero
from savi.files import write_text
from savi.record.resume import check_base
from savi.record.settings_kinds import flatten, of_rounds
from savi.training.loggers import RunWandbLogger
from savi.training.metrics_file import ResumableCSVLogger
from savi.training.parts import callbacks_of_kind
from savi.training.run_folder import run_folder
from savi.training.self_critique import SelfCritique
from savi.training.start_checks import check_model

RENAMED_SINCE = (4, 49)
WITH_NONE: dict[str, Any] = {
    "skip_unset" if tuple(map(int, version("jsonargparse").split(".")[:2])) >= RENAMED_SINCE else "skip_none": False
}
"""The argument by which jsonargparse writes settings that are None. Its signature doesn't tell: it is wrapped."""


def settings_of(parser: ArgumentParser, config: Namespace) -> dict[str, Any]:
    """The settings of a command by dotted key, as :func:`savi.record.settings_kinds.flatten` gives them."""
    return flatten(yaml.safe_load(parser.dump(config, skip_validation=True, **WITH_NONE)))


class StartRecord(SaveConfigCallback):
    """Writes the settings of a start, once nothing can refuse it any more, and overwrites no earlier start's.

    The first start of a run leaves config.yaml, the next ones config_02.yaml, config_03.yaml and so on.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.settings = settings_of(self.parser, self.config)
        """By dotted key, as :func:`savi.record.settings_kinds.flatten` gives them."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write nothing yet: the model, the clips and the checkpoint are still to be looked at."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        from_rank_zero(partial(self._begin, trainer, pl_module), "start")
        for logger in trainer.loggers:
            # As Lightning does with hyperparameters.
            if trainer.enable_autolog_hparams and not isinstance(logger, ResumableCSVLogger):
                logger.log_hyperparams(yaml.safe_load(self._text))

    def _begin(self, trainer: Trainer, pl_module: Any) -> None:
        check_base(run_folder(trainer), pl_module.base_fingerprint(), pl_module.base_settings.path)
        for critique in callbacks_of_kind(trainer, SelfCritique):
            critique.check_round()
            check_model(pl_module, critique.force)
        self._write(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit":
            from_rank_zero(partial(self._write, trainer), "start")

    on_test_start = on_validation_start

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["settings"] = self.settings

    def _write(self, trainer: Trainer) -> None:
        if self.already_saved:
            return
        self.already_saved = True
        for logger in trainer.loggers:
            if isinstance(logger, RunWandbLogger):
                logger.begin()
        folder = run_folder(trainer)
        number, path = 1, folder / "config.yaml"
        while path.exists():
            number += 1
            path = folder / f"config_{number:02d}.yaml"
        write_text(path, self._text)

    @property
    def _text(self) -> str:
        text: str = self.parser.dump(self.config, **WITH_NONE)
        return text


def round_settings(trainer: Trainer) -> dict[str, Any]:
    """The changeable settings of this start; none where the Trainer wasn't built by the command line."""
    return next((of_rounds(record.settings) for record in callbacks_of_kind(trainer, StartRecord)), {})
