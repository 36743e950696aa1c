"""Prefixes of clips encoded before, in memory and, if asked, on disk: the frozen vision tower runs once per clip."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import PreTrainedModel, ProcessorMixin

from savi.errors import SaviError, check_number
from savi.models.family import ClipPrefix, Family
from savi.types import Clip, Excerpt, FileIdentity, OpenedClip, identify


@dataclass(frozen=True)
class PrefixCacheSettings:
    """Where the prefixes of encoded clips are kept, so that the vision tower encodes each clip once."""

    mib: float = 512.0
    """Main memory for prefixes, in MiB. A clip takes visual tokens x hidden size x bytes per number: 55 MiB for 8,000
    tokens of a 7B model in bfloat16. When it is full, further clips are encoded again in each round."""

    folder: str | None = None
    """Folder that keeps prefixes on disk as well, for all rounds and for later runs. None: main memory only."""

    def __post_init__(self) -> None:
        check_number("model.prefix_cache.mib", self.mib, least=0)


class PrefixCache:
    """Prefixes by clip, as long as the clip's file is the one that they were read from.

    A replaced file is another file, even with the same size and date; a file that is gone is not. When the memory is
    full, no more prefixes are added and none is removed: each round takes the clips in a cycle, and the least recently
    used prefix is the next one needed. encoder: digest of what a prefix depends on besides its file, see
    :func:`encoder_key`.
    """

    def __init__(self, settings: PrefixCacheSettings, encoder: str) -> None:
        self._room = int(settings.mib * 2**20)
        self._folder = Path(settings.folder).expanduser() if settings.folder else None
        self._encoder = encoder
        self._prefixes: dict[Clip, tuple[FileIdentity | None, ClipPrefix]] = {}
        if self._folder:
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise SaviError(
                    f"model.prefix_cache.folder: {settings.folder} can't be made: {error.strerror}"
                ) from None

    def __contains__(self, clip: Clip) -> bool:
        file = identify(clip.path)
        return self._in_memory(clip, file) is not None or self._on_disk(clip, file) is not None

    def get(self, clip: Clip) -> ClipPrefix | None:
        """The clip's prefix, in main memory; None if it is not there. Raises SaviError for an unreadable file."""
        file = identify(clip.path)
        prefix = self._in_memory(clip, file)
        if prefix is None and (place := self._on_disk(clip, file)):
            prefix = _read(place)
            self._remember(clip, file, prefix)
        return prefix

    def add(self, clip: Clip, prefix: ClipPrefix, file: FileIdentity | None = None) -> None:
        """Keep a copy, as far as there is room. file: what the clip was read from; by default, what is there now."""
        file = file or identify(clip.path)
        prefix = prefix.to(torch.device("cpu"))
        self._remember(clip, file, prefix)
        if place := self._place(clip, file):
            _write(prefix, place)

    def _in_memory(self, clip: Clip, file: FileIdentity | None) -> ClipPrefix | None:
        known, prefix = self._prefixes.get(clip, (None, None))
        return prefix if file is None or file == known else None

    def _remember(self, clip: Clip, file: FileIdentity | None, prefix: ClipPrefix) -> None:
        if clip in self._prefixes:
            if self._prefixes[clip][0] == file:
                return
            self._room += self._prefixes.pop(clip)[1].nbytes
        if prefix.nbytes <= self._room:
            self._prefixes[clip] = (file, prefix)
            self._room -= prefix.nbytes

    def _on_disk(self, clip: Clip, file: FileIdentity | None) -> Path | None:
        place = self._place(clip, file)
        return place if place and place.is_file() else None

    def _place(self, clip: Clip, file: FileIdentity | None) -> Path | None:
        """The path on disk of the prefix of a clip that was read from this file."""
        if self._folder is None or file is None:
            return None
        span = clip.span if isinstance(clip, Excerpt) else None
        parts = (self._encoder, *file, span, *(clip.opening if isinstance(clip, OpenedClip) else ()))
        return self._folder / f"{hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()}.safetensors"


def encoder_key(model: PreTrainedModel, processor: ProcessorMixin, family: Family, sampled_as: str) -> str:
    """A digest of what a prefix depends on besides its file: weights around the decoder, processor, sampling of frames,
    and the version of transformers, whose code makes a prefix of them.

    It takes the first values of each parameter, which differ between any two trainings.
    """
    parts = [transformers.__version__, sampled_as, processor.to_dict()]
    digest = hashlib.blake2b(json.dumps(parts, sort_keys=True, default=str).encode())
    digest.update(str(processor.chat_template).encode())
    layers = f"{family.decoder}.layers."
    for name, parameter in model.named_parameters():
        if layers not in name:
            digest.update(f"{name} {parameter.dtype} {tuple(parameter.shape)}".encode())
            digest.update(parameter.detach().flatten()[:256].float().cpu().numpy().tobytes())
    return digest.hexdigest()


def _write(prefix: ClipPrefix, place: Path) -> None:
    """Write a file whole or not at all. Runs may share the folder, so its first name has the number of the process."""
    unfinished = place.with_suffix(f".{os.getpid()}")
    tensors = {name: tensor.contiguous() for name, tensor in prefix.tensors.items()}
    try:
        save_file(tensors, unfinished, {"next_position": str(prefix.next_position), "tail": prefix.tail})
        unfinished.replace(place)
    except (SafetensorError, OSError) as error:
        unfinished.unlink(missing_ok=True)
        raise SaviError(f"model.prefix_cache.folder: {place} can't be written ({error})") from error


def _read(file: Path) -> ClipPrefix:
    try:
        with safe_open(file, framework="pt") as opened:
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 (no mapping)
            said = opened.metadata()
    except (SafetensorError, OSError) as error:
        raise SaviError(f"model.prefix_cache.folder: {file} can't be read ({error}): delete it") from None
    return ClipPrefix(**tensors, next_position=int(said["next_position"]), tail=said["tail"])
