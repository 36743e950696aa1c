"""`savi predict`: a file of questions in, a file of replies out."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import distributed
from tqdm import tqdm

from savi.data.questions import Question, read_questions
from savi.distributed.failures import is_first, one_line
from savi.errors import check_number
from savi.evaluation.options import OneLineParser
from savi.models.load import BaseSettings, load_known
from savi.runs.commands import add_base, read_named
from savi.runs.predict import AskedModel, Progress, aligned_model, base_model, predict
from savi.types import SaviError

DESCRIPTION = """Answer every question of a file about videos, greedily, with the model of a run or with a checkpoint
without a run. The output has one row of JSON per question: id, video, question and reply; a clip that can't be decoded
has error and no reply. Clips come in the order in which the questions name them, and each is read once. After a kill
the same command continues the file, to the same bytes. Several processes share the clips under torchrun: `torchrun
--nproc_per_node 2 -m savi.cli predict ...`."""

WITHOUT_RUN = {"frames": 32, "max_pixels": None, "max_new_tokens": 64, "dtype": None, "nf4": False}
"""Options for a checkpoint without a run, with their defaults: a run has its own."""


def predict_file(arguments: Sequence[str]) -> None:
    """The command. Raises SaviError for a user's mistake."""
    given = _parser().parse_args(arguments)
    transformers.utils.logging.disable_progress_bar()
    with one_line(), _processes():
        check_number("--batch-clips", given.batch_clips, least=1)
        questions = read_questions(given.questions)
        if given.output.is_dir() or given.output.resolve() == given.questions.resolve():
            raise SaviError(f"--output {given.output}: name a file of its own for the replies")
        progress = _write(given, questions)
        if is_first():
            failed = f"; {progress.failed} of the clips could not be decoded, see `error`" if progress.failed else ""
            print(f"{len(questions)} rows about {progress.total} clips are in {given.output}{failed}")


def _write(given: Namespace, questions: Sequence[Question]) -> Progress:
    """Predict under a bar of clips, on standard error."""
    try:
        batches = predict(_asked(given), questions, given.output, both=given.both, batch_clips=given.batch_clips)
        progress = next(batches)
        bar = tqdm(total=progress.total, initial=progress.done, desc="replies", unit="clip", disable=not is_first())
        with bar:
            for progress in batches:
                bar.update(progress.done - bar.n)
    except torch.OutOfMemoryError:
        raise SaviError(
            f"the GPU's memory is full; the same command with --batch-clips below {given.batch_clips} continues the "
            "file"
        ) from None
    return progress


@contextmanager
def _processes() -> Iterator[None]:
    """Meet the other processes that torchrun has started, each with a GPU of its own if there are any."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("gloo")
    try:
        yield
    finally:
        distributed.destroy_process_group()


def _parser() -> OneLineParser:
    parser = OneLineParser("savi predict", description=DESCRIPTION)
    parser.add_argument("run", type=Path, nargs="?", metavar="RUN", help="a run's folder; without it --base is asked")
    parser.add_argument(
        "--questions",
        type=Path,
        required=True,
        metavar="FILE",
        help="a .jsonl, .json, .csv or .tsv file with video, question and, if wanted, id; paths of videos are relative "
        "to the file's folder",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the replies, as JSON lines")
    parser.add_argument("--both", action="store_true", help="base_reply as well: the reply of the run's base")
    parser.add_argument("--batch-clips", type=int, default=4, help="clips that are answered together, 4 by default")
    add_base(parser, "the checkpoint to ask, a folder or a hub name; next to RUN, where the run's base is now")
    own = parser.add_argument_group("without RUN")
    own.add_argument("--frames", type=int, help="frames of each clip, 32 by default")
    own.add_argument("--max-pixels", type=int, help="scale larger frames down to this many pixels")
    own.add_argument("--max-new-tokens", type=int, help="most tokens of a reply, 64 by default")
    own.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), help="the checkpoint's own by default")
    own.add_argument("--nf4", action="store_true", default=None, help="hold the checkpoint in 4 bits")
    return parser


def _asked(given: Namespace) -> AskedModel:
    options = {name: getattr(given, name) for name in WITHOUT_RUN}
    if given.run is not None:
        if own := [name for name, value in options.items() if value is not None]:
            raise SaviError(f"predict: --{own[0].replace('_', '-')}: a run has its own; leave it out, or leave RUN out")
        return aligned_model(read_named(given.run, given))
    if given.base is None:
        raise SaviError("predict: name a RUN, or a checkpoint with --base")
    if given.both:
        raise SaviError("predict: --both compares a run with its base; name a RUN")
    options = {name: WITHOUT_RUN[name] if value is None else value for name, value in options.items()}
    for name in ("frames", "max_pixels", "max_new_tokens"):
        if options[name] is not None:
            check_number(f"--{name.replace('_', '-')}", options[name], least=1)
    settings = BaseSettings(given.base, nf4=options["nf4"], trust_remote_code=given.trust_remote_code)
    config = load_known(settings, options["frames"]).config
    dtype: Any = options["dtype"] or str(config.dtype or "float32").removeprefix("torch.")
    return base_model(
        replace(settings, dtype=dtype), options["frames"], options["max_pixels"], options["max_new_tokens"]
    )
