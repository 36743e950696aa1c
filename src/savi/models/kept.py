"""Prefixes of clips seen before, so that the frozen vision tower runs once a clip: in memory, and on disk if asked."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from savi.errors import SaviError, check_number
from savi.models.family import ClipPrefix, Family
from savi.types import Clip, Excerpt


@dataclass(frozen=True)
class KeepSettings:
    """Where the prefixes of watched clips are kept.

    mib: main memory for them. folder: a folder to keep them in as well, for all rounds and for later runs; none by
    default. A clip takes visual tokens x width x bytes a number: 55 MiB for 8,000 tokens of a 7B model in bfloat16.
    """

    mib: float = 512.0
    folder: str | None = None

    def __post_init__(self) -> None:
        check_number("model.keep.mib", self.mib, least=0)


class KeptPrefixes:
    """Prefixes by clip.

    When the memory is full it takes no more, and never lets go: clips come round in a cycle, where the least recently
    used one is the next one needed. watcher: what a prefix depends on beside its file, see :func:`watcher_key`.
    """

    def __init__(self, settings: KeepSettings, watcher: str) -> None:
        self._room = int(settings.mib * 2**20)
        self._folder = Path(settings.folder).expanduser() if settings.folder else None
        self._watcher = watcher
        self._prefixes: dict[Clip, ClipPrefix] = {}
        if self._folder:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise SaviError(f"model.keep.folder: {settings.folder} can't be made: {error.strerror}") from None

    def __contains__(self, clip: Clip) -> bool:
        return clip in self._prefixes or self._on_disk(clip) is not None

    def get(self, clip: Clip) -> ClipPrefix | None:
        """The clip's prefix, in main memory; None if it isn't kept. Raises SaviError for a file that can't be read."""
        prefix = self._prefixes.get(clip)
        if prefix is None and (file := self._on_disk(clip)):
            prefix = _read(file)
            self._remember(clip, prefix)
        return prefix

    def add(self, clip: Clip, prefix: ClipPrefix) -> None:
        """Keep a copy, as far as there is room."""
        prefix = prefix.to(torch.device("cpu"))
        self._remember(clip, prefix)
        if place := self._place(clip):
            _write(prefix, place)

    def _remember(self, clip: Clip, prefix: ClipPrefix) -> None:
        if clip not in self._prefixes and prefix.nbytes <= self._room:
            self._prefixes[clip] = prefix
            self._room -= prefix.nbytes

    def _on_disk(self, clip: Clip) -> Path | None:
        place = self._place(clip)
        return place if place and place.is_file() else None

    def _place(self, clip: Clip) -> Path | None:
        """Where a clip's prefix belongs: a file that was changed since has another place."""
        if self._folder is None or not clip.path.is_file():
            return None
        stat = clip.path.stat()
        span = clip.span if isinstance(clip, Excerpt) else None
        parts = (self._watcher, str(clip.path.resolve()), stat.st_size, stat.st_mtime_ns, span)
        return self._folder / f"{hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()}.safetensors"


def watcher_key(model: nn.Module, processor: Any, family: Family, sampled_as: str) -> str:
    """A digest of what a prefix depends on beside its file: weights around the decoder, processor, sampling of frames.

    Of each parameter the first values are taken, which differ between any two trainings.
    """
    digest = hashlib.blake2b(json.dumps([sampled_as, processor.to_dict()], sort_keys=True, default=str).encode())
    digest.update(str(processor.chat_template).encode())
    layers = f"{family.decoder}.layers."
    for name, parameter in model.named_parameters():
        if layers not in name:
            digest.update(f"{name} {parameter.dtype} {tuple(parameter.shape)}".encode())
            digest.update(parameter.detach().flatten()[:256].float().cpu().numpy().tobytes())
    return digest.hexdigest()


def _write(prefix: ClipPrefix, place: Path) -> None:
    """Under another name first: a run that is cut off leaves no half of a file."""
    tensors = {"embeds": prefix.embeds, "positions": prefix.positions}
    if prefix.deep is not None:
        tensors["deep"] = prefix.deep
    unfinished = place.with_suffix(f".{os.getpid()}")
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    try:
        save_file(tensors, unfinished, {"next_position": str(prefix.next_position), "tail": prefix.tail})
        unfinished.replace(place)
    except (SafetensorError, OSError) as error:
        unfinished.unlink(missing_ok=True)
        raise SaviError(f"model.keep.folder: {place} can't be written ({error})") from error


def _read(file: Path) -> ClipPrefix:
    try:
        with safe_open(file, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (no mapping)
            said = opened.metadata()
    except (SafetensorError, OSError) as error:
        raise SaviError(f"model.keep.folder: {file} can't be read ({error}): delete it") from None
    return ClipPrefix(
        embeds=tensors["embeds"],
        positions=tensors["positions"],
        next_position=int(said["next_position"]),
        deep=tensors.get("deep"),
        tail=said["tail"],
    )
