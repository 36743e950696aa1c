"""`savi fit`, `validate` and `test`: Lightning's command line, with experiment files that hold the differences."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities import rank_zero_info

from savi.alignment.trainer_arguments import TRAINER_ARGUMENTS, check_arguments
from savi.cli.no_effect import SHARED
from savi.cli.parser import one_line_of, told_by_class
from savi.errors import SaviError, SettingError, check_number
from savi.record.resume import checkpoint_to_measure, checkpoint_to_resume, versions
from savi.report.closing import close_evaluation, close_fit
from savi.training.checkpoints import RunCheckpoint
from savi.training.launching import ProcessWatch
from savi.training.loggers import WandbMode, build_loggers
from savi.training.progress import RunProgress
from savi.training.run_folder import run_folder
from savi.training.starts import settings_of
from savi.types import readable

NOT_LIGHTNINGS = {
    "optimizer": "the optimizer is AdamW; model.optimizer has its name, lr, weight_decay and clip_norm",
    "lr_scheduler": "the rate rises over model.optimizer.warmup_steps and then stays",
}
"""Options of Lightning's command line that savi has not, with their replacements."""

HELP = {
    "config": "Experiment: a file, or the name of a packaged one. Of several, the later ones win. Default: the demo.",
    "seed_everything": "Seed of the run. With it, the same machine and versions repeat a run to the bit.",
    "ckpt_path": "`last`: fit resumes the newest run of the name where it stopped; the others measure its newest "
    "checkpoint, and take a checkpoint file too. null: fit begins a new run; the others measure the base.",
}
"""The help of Lightning's options that take less, or more, than Lightning says."""


def _refuse(name: str, value: Any) -> None:
    if value is not None:
        raise SaviError(f"--{name}: {NOT_LIGHTNINGS[name]}")


class SaviCLI(LightningCLI):
    """Chooses the run's folder, wires the seed, and closes a run with its table and pictures."""

    def __init__(self, *, args: Sequence[str], **settings: Any) -> None:
        """args: the command, then its arguments. settings: LightningCLI's."""
        self._command = args[0]
        super().__init__(args=args, **settings)

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # Lightning asks its instance alone
        """The command that was given. To build the options of all three takes 0.2 s more."""
        # Checkpoints are read with weights_only=True, whoever asks for what.
        return {self._command: LightningCLI.subcommands()[self._command] | {"weights_only"}}

    def setup_parser(self, *args: Any, **kwargs: Any) -> None:
        super().setup_parser(*args, **kwargs)
        for name, text in HELP.items():
            self._parser(self._command).set_help(name, text)

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        super().parse_arguments(parser, args)
        self._experiment = _experiment_name(args)
        trusts = any(argument.partition("=")[0] == "--model.base.trust_remote_code" for argument in args)
        if self.config[self.config.subcommand].model.base.trust_remote_code and not trusts:
            raise SaviError(
                "model.base.trust_remote_code is given on the command line alone, never in a file: "
                "--model.base.trust_remote_code=true"
            )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--name", type=str | None, default=None, help="Run's name; the config file's by default.")
        parser.add_argument("--runs", type=str, default="lightning_logs", help="Folder that holds all runs.")
        parser.add_argument(
            "--force",
            action="store_true",
            help="Begin also where a check of the model fails, or the readiness check expects no pair. For fit.",
        )
        parser.add_argument("--wandb", type=WandbMode, default="off", help="Weights & Biases: off, offline or online.")
        parser.add_argument(
            "--threads", type=int | None, default=None, help="CPU threads of one operation; torch's choice by default."
        )
        for name in NOT_LIGHTNINGS:
            parser.add_hidden(name, partial(_refuse, name))
        parser.link_arguments("seed_everything", "model.seed", compute_fn=_seed)
        parser.link_arguments("seed_everything", "data.seed", compute_fn=_seed)
        for name in SHARED:
            parser.link_arguments(f"data.{name}", f"model.{name}")

    def before_instantiate_classes(self) -> None:
        config = self._settings
        check_arguments(vars(config.trainer))
        if config.force and self.subcommand != "fit":
            raise SaviError("--force: only fit has checks")
        if config.threads is not None:
            check_number("threads", config.threads, least=1)
            torch.set_num_threads(config.threads)
        self.run_name = readable(config.name or self._experiment)
        runs = Path(config.runs) / self.run_name
        there = versions(runs)
        self.resume_step: int | None = None
        self.version: int | str = there[-1] + 1 if there else 0
        if config.ckpt_path == "last":
            if not (begun := versions(runs, begun=True)):
                raise SaviError(f"--ckpt_path last: there is no run in {runs} to resume")
            self.version = begun[-1]
            self._take_up(runs / f"version_{self.version}", config)
        elif config.ckpt_path is not None and not Path(config.ckpt_path).is_file():
            raise SaviError(f"--ckpt_path {config.ckpt_path}: no such file")
        elif config.ckpt_path is not None and self.subcommand == "fit":
            # In a folder of its own the run would build the checkpoint's round anew, from a model that has learned it.
            raise SaviError(
                f"--ckpt_path {config.ckpt_path}: fit resumes `last` alone; validate and test take any file"
            )
        elif config.ckpt_path is not None:
            self._take_up(Path(config.ckpt_path), config)
        if self.subcommand != "fit":
            config.verbose = False  # the closing table says it better
            base = "base" if self.subcommand == "validate" else "base/test"
            self.version = f"version_{self.version}/{self.subcommand}" if config.ckpt_path else base

    def _take_up(self, place: Path, config: Any) -> None:
        """Choose the checkpoint of a run's folder, or the one in a file. A fit may begin with its first clip."""
        parser = self._parser(self.subcommand)
        given, defaults = settings_of(parser, config), settings_of(parser, parser.get_defaults(skip_validation=True))
        take_up = checkpoint_to_resume if self.subcommand == "fit" else checkpoint_to_measure
        taken = take_up(place, given, defaults)
        for note in taken.notes:
            rank_zero_info(note)
        config.ckpt_path = str(taken.checkpoint.path) if taken.checkpoint else None
        if self.subcommand == "fit":
            self.resume_step = taken.checkpoint.step if taken.checkpoint else 0

    def _parse_ckpt_path(self) -> None:
        """Take no settings out of a checkpoint, as Lightning would: those of the command count."""

    def instantiate_classes(self) -> None:
        try:
            super().instantiate_classes()
            if self._settings.ckpt_path or self.resume_step is not None:
                self.model.refusable_pixels = None  # a run that began with a bound of no use ends with it
        except SettingError as error:
            raise SaviError(f"{_key(self._settings, error)} {error.reason}") from None
        except ValueError as error:
            if told := told_by_class(error):
                raise told from None
            raise

    def before_fit(self) -> None:
        self.model.self_critique.force = self._settings.force

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        config, model = self._settings, self._settings.model
        loss = model.loss.class_path.rpartition(".")[2] if model.loss else model.dpo.loss
        trainer = self.config_init[self.subcommand].trainer
        given = trainer.callbacks or []
        callbacks = [*(given if isinstance(given, list) else [given]), RunCheckpoint()]
        loggers = build_loggers(
            *(Path(config.runs), self.run_name, self.version, config.wandb, self.resume_step, trainer.logger),
            tags=(self._experiment, f"base {Path(model.base.path).name}", loss, f"seed {model.seed}"),
        )
        if trainer.enable_progress_bar is not False:
            callbacks += [] if any(isinstance(one, ProgressBar) for one in callbacks) else [RunProgress()]
        own = {"default_root_dir": loggers[0].log_dir, "logger": loggers, "callbacks": callbacks}
        fixed = {name: argument.value for name, argument in TRAINER_ARGUMENTS.items()} | own
        try:
            built: Trainer = super().instantiate_trainer(**fixed, **kwargs)
        except (MisconfigurationException, ModuleNotFoundError, TypeError, ValueError) as error:
            raise SaviError(f"trainer: {one_line_of(str(error))}") from None
        if built.world_size > 1:
            ProcessWatch().attach(built)
        return built

    def after_fit(self) -> None:
        if self.trainer.is_global_zero:
            close_fit(run_folder(self.trainer))

    def after_validate(self) -> None:
        if self.trainer.is_global_zero:
            close_evaluation(run_folder(self.trainer))

    after_test = after_validate

    @property
    def _settings(self) -> Any:
        return self.config[self.subcommand]


def _key(settings: Any, error: SettingError) -> str:
    """The whole key of a setting: model.chain.answer.top_p for what its class knows as top_p."""
    for key, value in settings.items():
        if key.endswith(f".{error.name}") and (value == error.value or value != value):
            return str(key)
    return error.name


def _experiment_name(arguments: Sequence[str]) -> str:
    """The name of the file that merge_experiments has written: the parser forgets it where it resolves references."""
    given = list(arguments)
    return Path(given[given.index("--config") + 1]).stem if "--config" in given else "run"


def _seed(value: int | bool | None) -> int:
    """seed_everything may be `true` or `false` in Lightning; a run that can be repeated needs a number."""
    if isinstance(value, bool) or value is None:
        raise SaviError("seed_everything must be a number")
    check_number("seed_everything", value, least=0, most=2**32 - 1)
    return value
