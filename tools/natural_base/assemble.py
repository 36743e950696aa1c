"""Put a taught base together: `python -m tools.natural_base.assemble --taught FILE --output FOLDER`.

The file holds what was taught, some 11 MB: the eyes, and LoRA of the language model, in float16. With --work it is made
from a folder of the teaching first. The folder is an ordinary Hugging Face checkpoint in float32, 540 MB.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import AutoModelForImageTextToText

from tools.natural_base.adapter import merge
from tools.natural_base.build import write_base
from tools.natural_base.language import language_folder
from tools.natural_base.teach import CACHE, Classroom

MOST_BYTES = 12_000_000
"""Of the file, which may be part of a repository."""


def pack(room: Classroom, file: Path) -> None:
    """Write what was taught so far. Raises ValueError for a file that would be larger than MOST_BYTES."""
    pupil, _ = room.measured_pupil()
    tower = {f"eyes.vision_model.{name}": weight for name, weight in pupil.model.model.vision_model.named_parameters()}
    learned = {name.replace("connector.", "eyes.connector.", 1): weight for name, weight in pupil.learned().items()}
    tensors = {name: weight.data.half().contiguous() for name, weight in (tower | learned).items()}
    if (size := sum(tensor.nbytes for tensor in tensors.values())) > MOST_BYTES:
        raise ValueError(f"{file} would have {size} bytes, and may have {MOST_BYTES}")
    save_file(tensors, file)


def assemble(taught: Path, folder: Path, cache: Path = CACHE) -> None:
    """Write the base as an ordinary folder."""
    write_base(language_folder(cache), folder, seed=0)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    tensors = load_file(taught)
    merge(model.model.text_model, _below("language.", tensors))
    eyes = {f"model.{name}": tensor.float() for name, tensor in _below("eyes.", tensors).items()}
    model.load_state_dict(eyes, strict=False)
    model.save_pretrained(folder)


def _below(start: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.natural_base.assemble", description=__doc__)
    parser.add_argument("--taught", type=Path, required=True, help="the file with what was taught")
    parser.add_argument("--work", type=Path, help="folder of the teaching: write the file anew from its checkpoint")
    parser.add_argument("--output", type=Path, help="folder of the checkpoint; without it only the file is written")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of the converted language weights")
    options = parser.parse_args()
    if options.work:
        pack(Classroom(options.work, options.cache), options.taught)
    if options.output:
        assemble(options.taught, options.output, options.cache)


if __name__ == "__main__":
    main()
