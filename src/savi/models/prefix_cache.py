"""Prefixes of clips encoded before, in memory and on disk: the frozen vision tower runs once per clip."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers
from safetensors.torch import load, save
from transformers import PreTrainedModel, ProcessorMixin

from savi.cache import BoundedFolder, code_digest, open_bounded
from savi.errors import check_number
from savi.files import FileIdentity, identify
from savi.models.family import ClipPrefix, Family
from savi.types import Clip, Excerpt, OpenedClip
from savi.video.frame_cache import DECODED_BY

SUFFIX = ".prefix"


@dataclass(frozen=True)
class PrefixCacheSettings:
    """Where the prefixes of encoded clips are kept, so that the vision tower encodes each clip once."""

    mib: float = 512.0
    """Main memory for prefixes, in MiB. A clip takes visual tokens x hidden size x bytes per number: 33 MiB for 4,800
    tokens of a 7B model in bfloat16. When it is full, further prefixes are read from disk in each round."""

    gib: float = 32.0
    """Disk space for prefixes, in GiB: room for 990 such clips. A tenth of the disk, at most 16 GiB, always
    stays free. When it is full, prefixes that no run has used since this one began make room; further clips are encoded
    in each round. 0: nothing is kept on disk."""

    folder: str | None = None
    """Folder for them on disk. Runs may share it. None: `prefixes` in data.cache."""

    def __post_init__(self) -> None:
        check_number("model.prefix_cache.mib", self.mib, least=0)
        check_number("model.prefix_cache.gib", self.gib, least=0)


def open_prefix_folder(settings: PrefixCacheSettings, cache: Path) -> BoundedFolder | None:
    """None where nothing is to be kept on disk. cache: the folder for all that can be made again.

    Raises SaviError for a folder that was named and can't be made, or can't be written.
    """
    return open_bounded("model.prefix_cache", settings.gib, settings.folder, cache / "prefixes", SUFFIX)


class PrefixCache:
    """Prefixes by clip, as long as the clip's file is the one that they were read from.

    A replaced file is another file, even with the same size and date; a file that is gone is not. When the memory is
    full, no more prefixes are added to it and none is removed: each round takes the clips in a cycle, and the least
    recently used prefix is the next one needed.
    """

    def __init__(self, mib: float, folder: BoundedFolder | None, encoder: str) -> None:
        """mib: of main memory. folder: on disk, if any. encoder: digest of what a prefix depends on besides its file,
        see :func:`encoder_key`."""
        self._room = int(mib * 2**20)
        self._folder = folder
        self._encoder = encoder
        self._prefixes: dict[Clip, tuple[FileIdentity | None, ClipPrefix]] = {}

    def __contains__(self, clip: Clip) -> bool:
        file = identify(clip.path)
        if self._in_memory(clip, file) is not None:
            return True
        return self._folder is not None and file is not None and self._folder.has(self._key(clip, file))

    def get(self, clip: Clip) -> ClipPrefix | None:
        """The clip's prefix, in main memory; None if it is not there, or damaged on disk."""
        file = identify(clip.path)
        prefix = self._in_memory(clip, file)
        if prefix is None and self._folder and file and (data := self._folder.read(self._key(clip, file))):
            prefix = _prefix(bytes(data))
            self._remember(clip, file, prefix)
        return prefix

    def add(self, clip: Clip, prefix: ClipPrefix, file: FileIdentity | None = None) -> None:
        """Keep a copy, as far as there is room. file: what the clip was read from; by default, what is there now."""
        file = file or identify(clip.path)
        prefix = prefix.to(torch.device("cpu"))
        self._remember(clip, file, prefix)
        if self._folder and file:
            self._folder.write(self._key(clip, file), prefix.nbytes, _parts(prefix))

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

    def _key(self, clip: Clip, file: FileIdentity) -> tuple[object, ...]:
        """What tells a prefix on disk from all others. file: that the clip was read from."""
        span = clip.span if isinstance(clip, Excerpt) else None
        return (self._encoder, *file, span, *(clip.opening if isinstance(clip, OpenedClip) else ()))


def encoder_key(model: PreTrainedModel, processor: ProcessorMixin, family: Family, sampled_as: str) -> str:
    """A digest of what a prefix depends on besides its file, to the bit: weights around the decoder, configuration,
    processor, sampling of frames, the code that makes a prefix of them, and the device.

    It takes the first values of each parameter, which differ between any two trainings.
    """
    code = *DECODED_BY, code_digest("models", "conversations"), transformers.__version__, torch.__version__
    parts = [code, _computed_on(model), sampled_as, model.config.to_json_string(), processor.to_dict()]
    digest = hashlib.blake2b(json.dumps(parts, sort_keys=True, default=str).encode())
    digest.update(str(processor.chat_template).encode())
    layers = f"{family.decoder}.layers."
    for name, parameter in model.named_parameters():
        if layers not in name:
            digest.update(f"{name} {parameter.dtype} {tuple(parameter.shape)}".encode())
            digest.update(parameter.detach().flatten()[:256].float().cpu().numpy().tobytes())
    return digest.hexdigest()


def _computed_on(model: PreTrainedModel) -> str:
    """Other devices may round otherwise, and so may other numbers of threads."""
    if model.device.type == "cuda":
        return torch.cuda.get_device_name(model.device)
    return f"{model.device.type}, {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"


def _parts(prefix: ClipPrefix) -> Iterator[bytes]:
    tensors = {name: tensor.contiguous() for name, tensor in prefix.tensors.items()}
    yield save(tensors, {"next_position": str(prefix.next_position), "tail": prefix.tail})


def _prefix(data: bytes) -> ClipPrefix:
    end = 8 + int.from_bytes(data[:8], "little")  # load() leaves the metadata out
    said = json.loads(data[8:end])["__metadata__"]
    return ClipPrefix(**load(data), next_position=int(said["next_position"]), tail=said["tail"])
