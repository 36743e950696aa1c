"""`savi ask` and `savi export`: a run's model in use."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

import transformers

from savi.distributed.failures import one_line
from savi.evaluation.options import OneLineParser
from savi.runs.ask import ask
from savi.runs.export import export_adapter, export_merged
from savi.runs.read import Run, newest_run, read_run


def ask_run(arguments: Sequence[str]) -> None:
    """Ask base and aligned model. Raises SaviError for a user's mistake."""
    parser = OneLineParser("savi ask", description="Ask base and aligned model about one clip, greedily.")
    parser.add_argument("video", type=Path, help="a video file")
    parser.add_argument("question", help="a question about it, in quotes")
    parser.add_argument("--run", type=Path, help="a run's folder; the newest in lightning_logs by default")
    add_base(parser)
    given = parser.parse_args(arguments)
    transformers.utils.logging.disable_progress_bar()
    with one_line():
        run = read_named(given.run or newest_run(Path("lightning_logs")), given)
        base, aligned = ask(run, given.video, given.question)
    print(f"run      {run.folder}\nbase     {base}\naligned  {aligned}")


def export_run(arguments: Sequence[str]) -> None:
    """Write a run's model. Raises SaviError for a user's mistake."""
    parser = OneLineParser("savi export", description="Write a run's model for use without savi, with a model card.")
    parser.add_argument("run", type=Path, help="a run's folder")
    parser.add_argument("--to", type=Path, required=True, help="an empty folder")
    parser.add_argument("--merged", action="store_true", help="base and adapter in one, not the adapter alone")
    add_base(parser)
    given = parser.parse_args(arguments)
    transformers.utils.logging.disable_progress_bar()
    with one_line():
        run = read_named(given.run, given)
        for warning in (export_merged if given.merged else export_adapter)(run, given.to):
            print(warning)
    print(f"Written to {given.to}; python {given.to / 'ask.py'} VIDEO QUESTION asks it.")


def add_base(parser: ArgumentParser, base: str = "where the base is now, if not where the run had it") -> None:
    """The options that say which base is loaded. base: the help of --base."""
    parser.add_argument("--base", help=base)
    parser.add_argument(
        "--trust-remote-code",
        action="store_true",
        help="run code that the base brings along, and read weights that aren't safetensors; never by default",
    )


def read_named(folder: Path, given: Namespace) -> Run:
    """A run's folder may be somebody else's: the base that it makes this process load is named first."""
    run = read_run(folder, given.base, trust_remote_code=given.trust_remote_code)
    if run.named_in:
        print(f"base: {run.base.path}, named by {run.named_in}", file=sys.stderr)
    return run
