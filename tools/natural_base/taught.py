"""What was taught, as one file: the eyes, and LoRA of the language model, in float16; some 11 MB."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tools.natural_base.pupil import Pupil

MOST_BYTES = 12_000_000
"""Of the file, which is part of the repository."""


def write_taught(pupil: Pupil, file: Path) -> None:
    """Raises ValueError for a file that would be larger than MOST_BYTES."""
    tensors = {name: weight.data.half().contiguous() for name, weight in _taught(pupil).items()}
    if (size := sum(tensor.nbytes for tensor in tensors.values())) > MOST_BYTES:
        raise ValueError(f"{file} would have {size} bytes, and may have {MOST_BYTES}")
    save_file(tensors, file)


def read_taught(pupil: Pupil, file: Path) -> None:
    """Give a pupil what was taught before."""
    tensors = load_file(file)
    with torch.no_grad():
        for name, weight in _taught(pupil).items():
            weight.copy_(tensors[name])


def below(start: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin so, by the rest of the name: "language." has LoRA's factors, "eyes." the eyes."""
    return {name.removeprefix(start): tensor for name, tensor in tensors.items() if name.startswith(start)}


def _taught(pupil: Pupil) -> dict[str, nn.Parameter]:
    tower = {f"eyes.vision_model.{name}": weight for name, weight in pupil.model.model.vision_model.named_parameters()}
    learned = {name.replace("connector.", "eyes.connector.", 1): weight for name, weight in pupil.learned().items()}
    return tower | learned
