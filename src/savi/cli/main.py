"""The command line. What works without a model starts without importing one."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence

from savi.cli.commands import overview, unknown
from savi.errors import SaviError, describe_os_error


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the console command. A user's mistake is one line on stderr and exit code 2.

    So is what the system refuses: a full disk, a folder that may not be written. With SAVI_DEBUG=1 in the environment a
    traceback comes before the line.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be text
    try:
        _run(arguments)
    except (SaviError, OSError) as error:
        if os.environ.get("SAVI_DEBUG", "0") != "0":
            traceback.print_exc()
        line = describe_os_error(error) if isinstance(error, OSError) else error
        print(f"savi: {line}", file=sys.stderr)
        sys.exit(2)


def _run(arguments: Sequence[str]) -> None:
    match arguments[:1]:
        case [] | ["-h" | "--help"]:
            print(overview())
        case ["fit" | "validate" | "test"]:
            from savi.cli.stages import run

            run(arguments)
        case ["ask"]:
            from savi.runs.commands import ask_run

            ask_run(arguments[1:])
        case ["predict"]:
            from savi.runs.predict_command import predict_file

            predict_file(arguments[1:])
        case ["export"]:
            from savi.runs.commands import export_run

            export_run(arguments[1:])
        case ["view"]:
            from savi.view.command import view

            view(arguments[1:])
        case ["check"]:
            from savi.check.command import check_checkpoint

            check_checkpoint(arguments[1:])
        case ["score"]:
            from savi.evaluation.rescore import score

            score(arguments[1:])
        case ["compare"]:
            from savi.evaluation.compare import compare

            compare(arguments[1:])
        case [word]:
            raise SaviError(unknown(word))
