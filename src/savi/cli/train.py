"""`savi fit` and `savi validate`: Lightning's command line, with experiment files that say what differs."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import transformers
from lightning import LightningModule, Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback

from savi.cli.config import merge_experiments
from savi.data.datamodule import ClipDataModule
from savi.errors import SaviError, SettingError, check_number
from savi.report.closing import close_fit, close_validate
from savi.training.checkpoints import RunCheckpoint
from savi.training.launching import ProcessWatch
from savi.training.loggers import WandbMode, build_loggers
from savi.training.module import SelfAlignment
from savi.training.processes import first, one_line
from savi.training.progress import RoundProgressBar
from savi.training.run_folder import lock_run, run_folder

UNUSABLE = re.compile(r"Problem with given class_path '(.+?)':\n\s*(.+)")


class SaviArgumentParser(LightningArgumentParser):
    """Says what is wrong in one line, instead of the usage of two hundred options."""

    def error(self, message: str, ex: Exception | None = None) -> None:
        raise SaviError(_one_line(message)) from ex


class RunConfigCallback(SaveConfigCallback):
    """Writes config.yaml, unless another process is at work on the run: its settings stay what they are."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage == "fit":
            first(lambda: lock_run(run_folder(trainer)).close(), "start")
        super().setup(trainer, pl_module, stage)


class SaviCLI(LightningCLI):
    """Chooses the run's folder, wires the seed, and closes a run with its table and pictures."""

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        return {name: LightningCLI.subcommands()[name] for name in ("fit", "validate")}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument("--name", type=str | None, default=None, help="Run's name; the config file's by default.")
        parser.add_argument("--runs", type=str, default="lightning_logs", help="Folder that holds all runs.")
        parser.add_argument("--wandb", type=WandbMode, default="off", help="Weights & Biases: off, offline or online.")
        parser.add_argument(
            "--threads", type=int | None, default=None, help="CPU threads of one operation; torch's choice by default."
        )
        parser.link_arguments("seed_everything", "model.seed", compute_fn=_seed)
        parser.link_arguments("seed_everything", "data.seed", compute_fn=_seed)
        for name in ("frames", "frame_pixels"):
            parser.link_arguments(f"data.{name}", f"model.{name}")

    def before_instantiate_classes(self) -> None:
        config = self._settings
        _refuse_shards(config.trainer.strategy)
        if config.threads is not None:
            check_number("threads", config.threads, least=1)
            torch.set_num_threads(config.threads)
        self.run_name = config.name or _config_name(config.config)
        runs = Path(config.runs) / self.run_name
        versions = sorted(int(p.name[8:]) for p in runs.glob("version_*") if p.name[8:].isdigit())
        self.resume_step: int | None = None
        self.version: int | str = versions[-1] + 1 if versions else 0
        if config.ckpt_path == "last":
            if not versions:
                raise SaviError(f"--ckpt_path last: there is no run in {runs} to go on with")
            self.version = versions[-1]
            self._take_up(runs / f"version_{self.version}", config)
        elif config.ckpt_path is not None and not Path(config.ckpt_path).is_file():
            raise SaviError(f"--ckpt_path {config.ckpt_path}: no such file")
        elif config.ckpt_path is not None and self.subcommand == "fit":
            # In a folder of its own the run would build the checkpoint's round anew, from the model that has learnt it.
            raise SaviError(f"--ckpt_path {config.ckpt_path}: fit goes on with `last` alone; validate takes any file")
        if self.subcommand == "validate":
            self.version = f"version_{self.version}/validate" if config.ckpt_path else "base"
            config.verbose = False  # the closing table says it better

    def _take_up(self, run: Path, config: Any) -> None:
        """Go on in the folder of a run: from its last checkpoint, or from its first clip if it has none yet."""
        checkpoint = run / "checkpoints" / "last.ckpt"
        if checkpoint.is_file():
            config.ckpt_path = str(checkpoint)
            config.trainer.num_sanity_val_steps = 0  # the base was measured when the run began
            self.resume_step = int(torch.load(checkpoint, map_location="cpu", weights_only=True)["global_step"])
        elif self.subcommand == "validate":
            raise SaviError(f"--ckpt_path last: {run} has no checkpoint yet")
        else:
            config.ckpt_path = None
            self.resume_step = -1

    def instantiate_classes(self) -> None:
        try:
            super().instantiate_classes()
        except SettingError as error:
            raise SaviError(f"{_key(self._settings, error)} {error.reason}") from None
        except ValueError as error:
            # A logger, say, whose package is missing: the parser packs what its class said into a page.
            if found := UNUSABLE.search(str(error)):
                raise SaviError(f"{found[1]}: {found[2]}") from None
            raise

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        config = self._settings
        trainer = self.config_init[self.subcommand].trainer
        given = trainer.callbacks or []
        callbacks = [*(given if isinstance(given, list) else [given]), RunCheckpoint()]
        loggers = build_loggers(
            Path(config.runs), self.run_name, self.version, config.wandb, self.resume_step, trainer.logger
        )
        if trainer.enable_progress_bar is not False:
            # The bars of the pair building are tqdm's; a live display of another kind would fight with them.
            callbacks.append(RoundProgressBar())
        built: Trainer = super().instantiate_trainer(
            logger=loggers,
            callbacks=callbacks,
            default_root_dir=loggers[0].log_dir,
            use_distributed_sampler=False,  # each process takes its share of the work by itself
            **kwargs,
        )
        if built.world_size > 1:
            ProcessWatch().attach(built)
        return built

    def after_fit(self) -> None:
        if self.trainer.is_global_zero:
            close_fit(run_folder(self.trainer))

    def after_validate(self) -> None:
        if self.trainer.is_global_zero:
            close_validate(run_folder(self.trainer))

    @property
    def _settings(self) -> Any:
        return self.config[self.subcommand]


def run(arguments: Sequence[str]) -> None:
    """One command of Lightning's. Raises SaviError for a user's mistake."""
    _quiet()
    with one_line(), TemporaryDirectory() as folder:
        SaviCLI(
            SelfAlignment,
            ClipDataModule,
            args=merge_experiments(arguments, Path(folder)),
            seed_everything_default=0,
            save_config_callback=RunConfigCallback,
            save_config_kwargs={"overwrite": True},
            parser_class=SaviArgumentParser,
            parser_kwargs={
                "parser_mode": "omegaconf+",
                "description": "Video language models that align themselves by self-criticism. More commands, each "
                "with its own --help: `savi ask VIDEO QUESTION` and `savi export RUN --to FOLDER` take what a run has "
                "made; `savi score REPLIES.jsonl` and `savi compare RUN_A RUN_B` need no model.",
            },
        )


def _one_line(message: str) -> str:
    """A parser's complaint without the value that it repeats, which may be a page long, and without its own names."""
    message = re.sub(r"^Call to compute_fn of link .* failed: ", "", message)
    return " ".join(re.split(r"\n?\s*Given value", message)[0].split())


def _key(settings: Any, error: SettingError) -> str:
    """The whole key of a setting: model.chain.answer.top_p for what its class knows as top_p."""
    for key, value in settings.items():
        if key.endswith(f".{error.name}") and (value == error.value or value != value):
            return str(key)
    return error.name


def _config_name(configs: Any) -> str:
    return Path(str(configs[-1])).stem if configs else "run"


def _seed(value: int | bool | None) -> int:
    """seed_everything may be `true` or `false` in Lightning; a run that can be repeated needs a number."""
    if isinstance(value, bool) or value is None:
        raise SaviError("seed_everything must be a number")
    check_number("seed_everything", value, least=0, most=2**32 - 1)
    return value


def _refuse_shards(strategy: Any) -> None:
    """Refuse strategies whose every forward pass needs all processes: each writes texts of its own length."""
    name = str(getattr(strategy, "class_path", strategy)).lower().replace("_", "")
    if any(sharding in name for sharding in ("fsdp", "deepspeed", "modelparallel")):
        raise SaviError(
            f"trainer.strategy: {name} cuts the model up over processes, which wait for each other in every pass; savi "
            "gives each its own clips and needs the whole model in each: take ddp, and model.base.nf4=true for space"
        )


def _quiet() -> None:
    """Silence what a user can do nothing about."""
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(lambda r: "litlogger" not in r.getMessage())
    for message in (
        "LightningCLI's args parameter is intended",  # we pass the command line's own
        ".*does not have many workers",
        "`is_gradient_checkpointing` is deprecated",  # peft asks a model for it by its old name
        ".*isinstance\\(treespec, LeafSpec\\)",  # Lightning's
        "The number of training batches .* is smaller than the logging interval",
        "Total length of `list` across ranks is zero",  # data.benchmark: null
        "Checkpoint directory .* exists and is not empty",  # a resumed run's own
        "It is recommended to use .*sync_dist=True",  # what is logged has been gathered
    ):
        warnings.filterwarnings("ignore", message=message)
