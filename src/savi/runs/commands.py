"""`savi ask` and `savi export`: what becomes of a run's model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import transformers

from savi.evaluation.options import OneLineParser
from savi.runs.ask import ask
from savi.runs.export import export_adapter, export_merged
from savi.runs.read import newest_run, read_run
from savi.training.processes import one_line


def ask_run(arguments: Sequence[str]) -> None:
    """Ask base and aligned model. Raises SaviError for a user's mistake."""
    parser = OneLineParser("savi ask", description="Ask base and aligned model about one clip, greedily.")
    parser.add_argument("video", type=Path)
    parser.add_argument("question")
    parser.add_argument("--run", type=Path, help="a run's folder; the newest in lightning_logs by default")
    parser.add_argument("--base", help="where the base is now, if not where the run had it")
    given = parser.parse_args(arguments)
    transformers.utils.logging.disable_progress_bar()
    with one_line():
        run = read_run(given.run or newest_run(Path("lightning_logs")), given.base)
        base, aligned = ask(run, given.video, given.question)
    print(f"run      {run.folder}\nbase     {base}\naligned  {aligned}")


def export_run(arguments: Sequence[str]) -> None:
    """Write a run's model. Raises SaviError for a user's mistake."""
    parser = OneLineParser("savi export", description="Write a run's model for use without savi, with a model card.")
    parser.add_argument("run", type=Path, help="a run's folder")
    parser.add_argument("--to", type=Path, required=True, help="an empty folder")
    parser.add_argument("--merged", action="store_true", help="base and adapter in one, not the adapter alone")
    parser.add_argument("--base", help="where the base is now, if not where the run had it")
    given = parser.parse_args(arguments)
    transformers.utils.logging.disable_progress_bar()
    with one_line():
        run = read_run(given.run, given.base)
        for warning in (export_merged if given.merged else export_adapter)(run, given.to):
            print(warning)
    print(f"Written to {given.to}; python {given.to / 'ask.py'} VIDEO QUESTION asks it.")
