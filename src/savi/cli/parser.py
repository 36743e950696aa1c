"""The parser of Lightning's stages: mistakes in one line, and those arguments of Trainer that are free."""

from __future__ import annotations

import re
from argparse import SUPPRESS
from collections.abc import Callable
from functools import partial
from inspect import signature
from typing import Any

import yaml
from lightning import Trainer
from lightning.pytorch.cli import LightningArgumentParser

from savi.alignment.trainer_arguments import CHECKED, FREE, TRAINER_ARGUMENTS, check_arguments
from savi.errors import SaviError

COUNT_OR_SHARE = ("limit_train_batches", "limit_val_batches", "limit_test_batches", "overfit_batches")
"""Arguments of Trainer that are a number of batches or a share of them."""

UNUSABLE = re.compile(r"Problem with given class_path '(.+?)':\n\s*(.+)")
NEITHER_NONE_NOR = re.compile(r"- Expected a <class 'NoneType'>\n\s*- (.+)")
"""Of a setting that may be None. jsonargparse 4.47 keeps the text alone of what the class said."""


class SaviArgumentParser(LightningArgumentParser):
    """Complains in one line, without the usage of two hundred options."""

    def error(self, message: str, ex: Exception | None = None) -> None:
        raise SaviError(one_line_of(message)) from ex

    def add_lightning_class_args(self, lightning_class: Any, nested_key: str, *args: Any, **kwargs: Any) -> list[str]:
        """Offer those of Trainer's arguments that can be chosen; take the others too, so as to say why they can't."""
        if lightning_class is not Trainer:
            return super().add_lightning_class_args(lightning_class, nested_key, *args, **kwargs)
        skip = {name for name in signature(Trainer.__init__).parameters if name not in FREE | CHECKED.keys()} - {"self"}
        added = self.add_class_arguments(
            Trainer, nested_key, fail_untyped=False, instantiate=False, sub_configs=True, skip=skip | {*COUNT_OR_SHARE}
        )
        for name in COUNT_OR_SHARE:
            # typing.Union keeps the order of its first use in the process: a number 1 may be read as the share 1.0.
            default = signature(Trainer.__init__).parameters[name].default
            text = "Batches: a number (`1`), or a share of all (`1.0`)."
            self.add_argument(f"--{nested_key}.{name}", type=int | float | None, default=default, help=text)
        for name in TRAINER_ARGUMENTS:
            self.add_hidden(f"{nested_key}.{name}", partial(_check_argument, name))
        return added

    def set_help(self, name: str, text: str) -> None:
        """Replace the help of an argument."""
        next(action for action in self._actions if action.dest == name).help = text

    def add_hidden(self, name: str, check: Callable[[Any], None]) -> None:
        """An argument that the help doesn't offer. check: raises SaviError for a value that can't be.

        It is called while the value is read: resolving references loses arguments without a help text.
        """

        def read(value: Any) -> Any:
            value = yaml.safe_load(value) if isinstance(value, str) else value
            check(value)
            return value

        self.add_argument(f"--{name}", type=read, default=None, help=SUPPRESS)


def _check_argument(name: str, value: Any) -> None:
    check_arguments({name: value})


def one_line_of(message: str) -> str:
    """A parser's complaint without the value that it repeats, which may be a page long, and without its own names."""
    message = re.sub(r"^Call to compute_fn of link .* failed: ", "", message)
    return " ".join(re.split(r"\n?\s*Given value", message)[0].split())


def told_by_class(error: ValueError) -> SaviError | None:
    """What a class that a setting names said when it was made; the parser packs it into a page.

    A logger may lack its package, say, or a method not take its argument. None for an error of another kind.
    """
    if isinstance(error.__cause__, SaviError):
        return error.__cause__
    if found := UNUSABLE.search(str(error)):
        return SaviError(f"{found[1]}: {found[2]}")
    found = NEITHER_NONE_NOR.search(str(error))
    return SaviError(found[1]) if found else None
