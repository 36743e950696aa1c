"""Runs one command that is a stage of Lightning's Trainer: `savi fit`, `validate` or `test`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from jsonargparse import set_parsing_settings
from lightning.fabric.utilities.exceptions import MisconfigurationException

from savi.cli.commands import COMMANDS
from savi.cli.config import merge_experiments
from savi.cli.parser import SaviArgumentParser, one_line_of
from savi.cli.quiet import quiet
from savi.cli.train import SaviCLI
from savi.distributed.failures import one_line
from savi.errors import SaviError
from savi.training.datamodule import ClipDataModule
from savi.training.module import SelfAlignment
from savi.training.run_folder import run_folder
from savi.training.starts import StartRecord


def run(arguments: Sequence[str]) -> Path:
    """One command of Lightning's. Returns the folder of its files. Raises SaviError for a user's mistake."""
    quiet()
    # The help has the words of the settings' classes. To read their sources takes half a second.
    set_parsing_settings(docstring_parse_attribute_docstrings=any(word.endswith(("help", "-h")) for word in arguments))
    with one_line(), TemporaryDirectory() as folder:
        try:
            done = SaviCLI(
                model_class=SelfAlignment,
                datamodule_class=ClipDataModule,
                args=merge_experiments(arguments, Path(folder)),
                seed_everything_default=0,
                auto_configure_optimizers=False,
                save_config_callback=StartRecord,
                parser_class=SaviArgumentParser,
                parser_kwargs={"parser_mode": "omegaconf+", arguments[0]: _about(arguments[0])},
            )
        except MisconfigurationException as error:
            # Lightning finds some mistakes later: a share of batches, say, that is less than one.
            raise SaviError(f"trainer: {one_line_of(str(error))}") from None
    return run_folder(done.trainer)


def _about(command: str) -> dict[str, str]:
    """The head of a command's help; the usual one repeats a hundred options."""
    return {
        "usage": f"savi {command} [--config FILE_OR_NAME ...] [--OPTION VALUE ...]",
        "description": COMMANDS[command],
    }
