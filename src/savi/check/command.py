"""`savi check`: what an engineer wants to know of a checkpoint before a long run, in a minute."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version

import transformers

from savi.check.files import check_files, refused
from savi.check.report import as_json, as_text
from savi.check.weights import check_weights
from savi.distributed.failures import one_line
from savi.errors import SaviError
from savi.evaluation.options import OneLineParser
from savi.models.load import BaseSettings

PACKAGES = ("savi", "torch", "transformers", "peft", "bitsandbytes")


def check_checkpoint(arguments: Sequence[str]) -> None:
    """Check a checkpoint. Exit code 1 where something failed. Raises SaviError for a user's mistake."""
    parser = OneLineParser(
        "savi check", description="Check a checkpoint before a long run; without its weights in seconds."
    )
    parser.add_argument("checkpoint", help="a folder, a hub name, or `world`, the miniature that comes with savi")
    parser.add_argument(
        "--weights", action="store_true", help="load the weights, and compare what savi computes with the plain model"
    )
    parser.add_argument("--frames", type=int, default=32, help="frames per clip, 32 by default")
    parser.add_argument("--size", default="640x360", help="width x height of the clips, 640x360 by default")
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32", help="of the weights")
    parser.add_argument("--nf4", action="store_true", help="hold the base in 4 bits")
    parser.add_argument("--trust-remote-code", action="store_true", help="run code that the checkpoint brings along")
    parser.add_argument("--json", action="store_true", help="print JSON, to paste into an issue")
    given = parser.parse_args(arguments)
    width, height = _size(given.size)
    if given.frames < 1:
        raise SaviError(f"check: --frames must be at least 1, not {given.frames}")
    settings = BaseSettings(given.checkpoint, given.dtype, given.nf4, trust_remote_code=given.trust_remote_code)
    with one_line(), _quiet():
        findings = list(check_files(settings, given.frames, height, width))
        if given.weights and all(one.passed is not False for one in findings):
            try:
                findings += check_weights(settings, min(given.frames, 8), 64, 64)
            except SaviError as error:
                findings.append(refused("weights", error))
    versions = {name: version(name) for name in PACKAGES}
    print(as_json(given.checkpoint, versions, findings) if given.json else as_text(given.checkpoint, findings))
    if any(finding.passed is False for finding in findings):
        sys.exit(1)


def _size(text: str) -> tuple[int, int]:
    width, x, height = text.partition("x")
    if not (x and width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise SaviError(f"check: --size {text}: write it as 640x360")
    return int(width), int(height)


@contextmanager
def _quiet() -> Iterator[None]:
    """Only findings are printed: what transformers and peft say while they load is of no use here."""
    logging = transformers.utils.logging
    before = logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
            yield
    finally:
        logging.set_verbosity(before)
