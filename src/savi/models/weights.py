"""What tells checkpoints apart: a digest of a model's embeddings, and one of the weights in the files."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from huggingface_hub import try_to_load_from_cache
from safetensors import safe_open
from transformers import PreTrainedModel

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


def fingerprint(model: PreTrainedModel) -> str:
    """What tells one base from another: its type, and a digest of its first embeddings.

    Taken in bfloat16, so that a base is the same whichever precision it is loaded in; they are never quantized.
    """
    embeddings = model.get_input_embeddings().weight[:1024].detach().to("cpu", torch.bfloat16)
    digest = hashlib.blake2b(embeddings.view(torch.int16).numpy().tobytes(), digest_size=8)
    return f"{model.config.model_type}-{digest.hexdigest()}"


def weights_digest(path: str) -> str | None:
    """A digest of the first row of every tensor, by the tensors' names, whatever files they are in.

    Training changes the first row of a matrix as it changes the others, and so does a merged adapter. path: a folder,
    or a hub name whose files are in the cache. None for a checkpoint whose weights aren't in safetensors.
    """
    rows: dict[str, bytes] = {}
    for file in _files(path):
        with safe_open(file, "pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (no mapping)
                part = tensors.get_slice(name)
                row = part[:1] if part.get_shape() else tensors.get_tensor(name)
                kind = f"{name} {part.get_dtype()} {part.get_shape()} ".encode()
                rows[name] = kind + row.flatten().view(torch.uint8).numpy().tobytes()
    if not rows:
        return None
    return hashlib.blake2b(b"".join(rows[name] for name in sorted(rows)), digest_size=16).hexdigest()


def _files(path: str) -> list[Path]:
    index = _file(path, INDEX)
    names = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()) if index else {WEIGHTS}
    files = [file for name in sorted(names) if (file := _file(path, name))]
    return files if len(files) == len(names) else []


def _file(path: str, name: str) -> Path | None:
    if Path(path).is_dir():
        return file if (file := Path(path) / name).is_file() else None
    cached = try_to_load_from_cache(path, name)
    return Path(cached) if isinstance(cached, str) else None
