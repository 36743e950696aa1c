"""The command line: `fit` and `validate` take experiment files; `ask` and `export` take what a run has made."""

from __future__ import annotations

import logging
import re
import sys
import warnings
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

import torch
import transformers
from lightning import Trainer
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from savi.data.datamodule import ClipDataModule
from savi.experiment import merge_experiments
from savi.report.closing import close_fit, close_validate
from savi.runs.ask import ask
from savi.runs.export import export_adapter, export_merged
from savi.runs.read import newest_run, read_run
from savi.training.loggers import WandbMode, build_loggers
from savi.training.module import SelfAlignment
from savi.training.processes import is_first
from savi.training.progress import RoundProgressBar
from savi.training.run_folder import run_folder
from savi.types import SaviError

LESS_MEMORY = (
    "the GPU's memory is full; in this order: model.base.nf4=true, model.base.gradient_checkpointing=true, "
    "data.clips_per_pass=1, a lower data.frame_pixels, fewer data.frames; docs/models.md has sizes"
)


class SaviArgumentParser(LightningArgumentParser):
    """Says what is wrong in one line, instead of the usage of two hundred options."""

    def error(self, message: str, ex: Exception | None = None) -> None:
        raise SaviError(_one_line(message)) from ex


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
        if config.threads:
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

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        config = self._settings
        loggers = build_loggers(Path(config.runs), self.run_name, self.version, config.wandb, self.resume_step)
        trainer = self.config_init[self.subcommand].trainer
        if trainer.enable_progress_bar is not False:
            # The bars of the pair building are tqdm's; a live display of another kind would fight with them.
            trainer.callbacks = [*(trainer.callbacks or []), RoundProgressBar()]
        # Each process takes its share of the work by itself, and not of a sampler's.
        return super().instantiate_trainer(logger=loggers, use_distributed_sampler=False, **kwargs)

    def after_fit(self) -> None:
        if self.trainer.is_global_zero:
            close_fit(run_folder(self.trainer))

    def after_validate(self) -> None:
        if self.trainer.is_global_zero:
            close_validate(run_folder(self.trainer))

    @property
    def _settings(self) -> Any:
        return self.config[self.subcommand]


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the console command. A user's mistake is one line on stderr and exit code 2."""
    _quiet()
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        command = {"ask": _ask, "export": _export}.get(given[0] if given else "")
        if command:
            command(given[1:])
        else:
            _run_experiment(given)
    except torch.OutOfMemoryError as error:
        _stop(f"{LESS_MEMORY} ({str(error).partition('. ')[0]})")
    except SaviError as error:
        _stop(str(error))


def _stop(line: str) -> NoReturn:
    """End with a line. Before several processes meet, all find the same mistake: then the first says it for all."""
    if is_first() or torch.distributed.is_initialized():
        print(f"savi: {line}", file=sys.stderr)
    sys.exit(2)


def _run_experiment(arguments: Sequence[str]) -> None:
    with TemporaryDirectory() as folder:
        SaviCLI(
            SelfAlignment,
            ClipDataModule,
            args=merge_experiments(arguments, Path(folder)),
            seed_everything_default=0,
            save_config_kwargs={"overwrite": True},
            parser_class=SaviArgumentParser,
            parser_kwargs={
                "parser_mode": "omegaconf+",
                "description": "Video language models that align themselves by self-criticism. Beside the subcommands "
                "below: `savi ask VIDEO QUESTION` asks base and aligned model about a clip; `savi export RUN --to "
                "FOLDER` writes a run's model for use without savi (each has its own --help).",
            },
        )


class CommandParser(ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        raise SaviError(f"{message}; see {self.prog} --help")


def _ask(arguments: Sequence[str]) -> None:
    parser = CommandParser("savi ask", description="Ask base and aligned model about one clip, greedily.")
    parser.add_argument("video", type=Path)
    parser.add_argument("question")
    parser.add_argument("--run", type=Path, help="a run's folder; the newest in lightning_logs by default")
    parser.add_argument("--base", help="where the base is now, if not where the run had it")
    given = parser.parse_args(arguments)
    run = read_run(given.run or newest_run(Path("lightning_logs")), given.base)
    base, aligned = ask(run, given.video, given.question)
    print(f"run      {run.folder}\nbase     {base}\naligned  {aligned}")


def _export(arguments: Sequence[str]) -> None:
    parser = CommandParser("savi export", description="Write a run's model for use without savi, with a model card.")
    parser.add_argument("run", type=Path, help="a run's folder")
    parser.add_argument("--to", type=Path, required=True, help="an empty folder")
    parser.add_argument("--merged", action="store_true", help="base and adapter in one, not the adapter alone")
    parser.add_argument("--base", help="where the base is now, if not where the run had it")
    given = parser.parse_args(arguments)
    run = read_run(given.run, given.base)
    for warning in (export_merged if given.merged else export_adapter)(run, given.to):
        print(warning)
    print(f"Written to {given.to}; python {given.to / 'ask.py'} VIDEO QUESTION asks it.")


def _one_line(message: str) -> str:
    """A parser's complaint without the value that it repeats, which may be a page long."""
    return " ".join(re.split(r"\n?\s*Given value", message)[0].split())


def _config_name(configs: Any) -> str:
    return Path(str(configs[-1])).stem if configs else "run"


def _seed(value: int | bool | None) -> int:
    """seed_everything may be `true` or `false` in Lightning; a run that can be repeated needs a number."""
    if isinstance(value, bool) or value is None:
        raise SaviError("seed_everything must be a number")
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
        ".*gradient_checkpointing.* is deprecated",
        ".*isinstance\\(treespec, LeafSpec\\)",
        "The number of training batches .* is smaller than the logging interval",
        "Total length of `list` across ranks is zero",  # data.benchmark: null
        "Checkpoint directory .* exists and is not empty",  # a resumed run's own
        "It is recommended to use .*sync_dist=True",  # what is logged has been gathered
    ):
        warnings.filterwarnings("ignore", message=message)


if __name__ == "__main__":
    main()
