"""Put a taught base together: `python -m tools.natural_base.assemble --taught FILE --output FOLDER`.

The file holds what was taught, some 11 MB: the eyes, and LoRA of the language model, in float16. With --work it is made
from a folder of the teaching first. The folder is an ordinary Hugging Face checkpoint in float32, 540 MB.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers.utils import logging

from savi.errors import SaviError
from tools.natural_base.adapter import merge
from tools.natural_base.beginning import require_begun
from tools.natural_base.build import untaught
from tools.natural_base.language import language_folder
from tools.natural_base.taught import below, write_taught
from tools.natural_base.teach import CACHE, Classroom
from tools.one_line import one_line


def assemble(taught: Path, folder: Path, cache: Path = CACHE) -> None:
    """Write the base as an ordinary folder. Its last file is the card, if there is one next to the file."""
    model, processor = untaught(language_folder(cache), seed=0)
    try:
        tensors = load_file(taught)
    except SafetensorError as error:
        raise SaviError(f"{taught} can't be read: {error}") from None
    merge(model.model.text_model, below("language.", tensors))
    eyes = {f"model.{name}": tensor.float() for name, tensor in below("eyes.", tensors).items()}
    model.load_state_dict(eyes, strict=False)
    processor.save_pretrained(folder)
    model.save_pretrained(folder)
    if (card := taught.with_name("README.md")).exists():
        shutil.copyfile(card, folder / "README.md")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.natural_base.assemble", description=__doc__)
    parser.add_argument("--taught", type=Path, required=True, help="the file with what was taught")
    parser.add_argument("--work", type=Path, help="folder of the teaching: write the file anew from its checkpoint")
    parser.add_argument("--output", type=Path, help="folder of the checkpoint; without it only the file is written")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of the converted language weights")
    options = parser.parse_args()
    logging.disable_progress_bar()
    if options.work:
        require_begun(options.work)
        pupil, _ = Classroom(options.work, options.cache).measured_pupil()
        write_taught(pupil, options.taught)
    if not options.taught.is_file():
        raise SaviError(f"--taught {options.taught} is no file; with --work it is written")
    if options.output:
        assemble(options.taught, options.output, options.cache)


if __name__ == "__main__":
    one_line(main)
