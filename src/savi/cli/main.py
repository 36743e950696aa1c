"""The command line. What works without a model starts without importing one."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from savi.types import SaviError


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the console command. A user's mistake is one line on stderr and exit code 2."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        _run(arguments)
    except SaviError as error:
        print(f"savi: {error}", file=sys.stderr)
        sys.exit(2)


def _run(arguments: Sequence[str]) -> None:
    match arguments[:1]:
        case ["score"]:
            from savi.evaluation.rescore import score

            score(arguments[1:])
        case ["compare"]:
            from savi.evaluation.compare import compare

            compare(arguments[1:])
        case ["ask"]:
            from savi.runs.commands import ask_run

            ask_run(arguments[1:])
        case ["export"]:
            from savi.runs.commands import export_run

            export_run(arguments[1:])
        case _:
            from savi.cli.train import run

            run(arguments)
