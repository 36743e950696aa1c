"""`savi ask` and `savi export`: a run's model in use."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

import transformers

from savi.distributed.failures import one_line
from savi.errors import SaviError
from savi.evaluation.options import OneLineParser
from savi.runs.ask import ask
from savi.runs.export import export_adapter, export_merged
from savi.runs.hub import Destination, HubRepositories
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
    hub = parser.add_argument_group("Hugging Face hub")
    hub.add_argument("--push-to-hub", metavar="NAME", help="upload it, and the run's pairs as NAME-pairs; private")
    hub.add_argument("--public", action="store_true", help="let everybody read them")
    hub.add_argument("--update", action="store_true", help="write into repositories that are there already")
    hub.add_argument("--without-pairs", action="store_true", help="upload no pairs")
    hub.add_argument("--videos", action="store_true", help="upload the videos of the pairs too; never by default")
    given = parser.parse_args(arguments)
    for option in ("public", "update", "without_pairs", "videos"):
        if getattr(given, option) and given.push_to_hub is None:
            raise SaviError(f"--{option.replace('_', '-')} goes with --push-to-hub NAME")
    transformers.utils.logging.disable_progress_bar()
    with one_line():
        run = read_named(given.run, given)
        hub_repositories = _repositories(run, given) if given.push_to_hub is not None else None
        for warning in (export_merged if given.merged else export_adapter)(run, given.to):
            print(warning)
        print(f"Written to {given.to}; python {given.to / 'ask.py'} VIDEO QUESTION asks it.")
        if hub_repositories:
            for address in hub_repositories.push(given.to):
                print(f"Uploaded to {address} ({'public' if given.public else 'private'}).")


def _repositories(run: Run, given: Namespace) -> HubRepositories:
    """The repositories of the hub that an export goes to, checked before it is written."""
    if not (given.merged or run.embedded) and Path(run.base.path).is_dir():
        raise SaviError(
            f"--push-to-hub: others have no {run.base.path}, over which the adapter was made; name the base on the hub "
            "(--base NAME), or upload it --merged"
        )
    pairs = not given.without_pairs
    destination = Destination(given.push_to_hub, given.public, given.update, pairs=pairs, videos=given.videos)
    return HubRepositories(run, destination)


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
