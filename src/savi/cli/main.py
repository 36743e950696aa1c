"""The command line. What works without a model starts without importing one."""

from __future__ import annotations

import gc
import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence

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
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview())
        return
    word, *rest = arguments
    command = load(word)
    # Lightning's parser takes the name of its stage, too.
    command(arguments if word in ("fit", "validate", "test") else rest)


def load(word: str) -> Callable[[Sequence[str]], object]:
    """The function of a command, imported. Raises SaviError for a word that is no command."""
    gc.disable()  # imported modules stay: looking for garbage among them would take a sixth of the time
    try:
        return _import(word)
    finally:
        gc.enable()


def _import(word: str) -> Callable[[Sequence[str]], object]:
    match word:
        case "fit" | "validate" | "test":
            from savi.cli.stages import run

            return run
        case "ask":
            from savi.runs.commands import ask_run

            return ask_run
        case "predict":
            from savi.runs.predict_command import predict_file

            return predict_file
        case "export":
            from savi.runs.commands import export_run

            return export_run
        case "view":
            from savi.view.command import view

            return view
        case "check":
            from savi.check.command import check_checkpoint

            return check_checkpoint
        case "score":
            from savi.evaluation.rescore import score

            return score
        case "compare":
            from savi.evaluation.compare import compare

            return compare
    raise SaviError(unknown(word))
