"""The command line. What works without a model starts without importing one."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Sequence
from difflib import get_close_matches

from savi.errors import SaviError, describe_os_error

COMMANDS = {
    "fit": "align a model on videos without labels, or resume a run; without options, the demo",
    "validate": "measure a base or a run on held-out questions and benchmarks",
    "ask": "ask a run's base and its aligned model a question about a video",
    "export": "write a run's adapter or merged model to a folder, with a model card",
    "score": "score the replies in a file as lmms-eval does; needs no model",
    "compare": "compare two evaluations question by question; needs no model",
}
"""Every command with its line in the help."""


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
        case ["fit" | "validate"]:
            from savi.cli.train import run

            run(arguments)
        case ["ask"]:
            from savi.runs.commands import ask_run

            ask_run(arguments[1:])
        case ["export"]:
            from savi.runs.commands import export_run

            export_run(arguments[1:])
        case ["score"]:
            from savi.evaluation.rescore import score

            score(arguments[1:])
        case ["compare"]:
            from savi.evaluation.compare import compare

            compare(arguments[1:])
        case [word]:
            raise SaviError(_unknown(word))


def overview() -> str:
    """What `savi --help` prints: every command with one line."""
    width = max(map(len, COMMANDS))
    return "\n".join(
        (
            "usage: savi COMMAND ...",
            "",
            "Video language models that align themselves by self-criticism.",
            "",
            "commands:",
            *(f"  {name:{width}}  {summary}" for name, summary in COMMANDS.items()),
            "",
            "`savi COMMAND --help` lists the options of a command.",
        )
    )


def _unknown(word: str) -> str:
    known = f"the commands are {', '.join(COMMANDS)}"
    if word.startswith("-"):
        return f"{word}: a command comes first; {known}"
    close = get_close_matches(word, COMMANDS, n=1)
    return f"{word}: no such command; " + (f"did you mean {close[0]}?" if close else known)
