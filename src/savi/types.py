"""The frozen records that flow between the parts of savi.

A clip goes in as a :class:`Clip`, is decoded to :class:`Frames`, encoded, taken through the critique chain
(:class:`Trace`), and leaves as :class:`PreferencePair` records, which hold text and numbers, never tensors.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from savi.conversations import Conversation, Prompt
from savi.errors import SaviError as SaviError
from savi.errors import SettingError, check_number

if TYPE_CHECKING:
    # They take seconds to import, and what works without a model (`savi score`) does without them.
    from numpy import ndarray
    from torch import Tensor

    from savi.files import FileIdentity

Aspect = Literal["spatial", "temporal"]
ASPECTS: tuple[Aspect, ...] = ("spatial", "temporal")

PairAspect = Literal["spatial", "temporal", "other"]
"""The aspect of a pair's question. `other` is for pairs from files alone, whose questions may be about anything."""

SURROGATE = re.compile(r"[\ud800-\udfff]")
"""Python reads a byte of a file's name that is no UTF-8 as one of these, which UTF-8 has no place for."""

TurnName = Literal["question", "answer", "sample", "critique", "revision"]


@dataclass(frozen=True)
class Clip:
    """One unlabelled video file. Training sees nothing of a clip but this: there is no field for a truth.

    id: text. path: as the system has it, which need not be UTF-8.
    """

    id: str
    path: Path


@dataclass(frozen=True)
class Excerpt(Clip):
    """A part of a video that a benchmark asks about. Clips to train on are whole files.

    span: start and end in seconds; None for all of it. fps: where `path` is a folder of numbered images, their rate.
    """

    span: tuple[float, float] | None = None
    fps: float | None = None


@dataclass(frozen=True)
class OpenedClip(Clip):
    """A clip behind other text of a conversation: a system message, say. A clip has one of these for each such text.

    opening: the messages up to the video, see :func:`savi.conversations.opening`.
    """

    opening: Conversation = ()


class Prepared:
    """What one model's processor makes of a clip's frames, ahead of its use. maker: whose it is."""

    def __init__(self, maker: object, inputs: dict[str, Tensor]) -> None:
        self._maker = maker
        self._inputs: dict[str, Tensor] | None = inputs
        self.nbytes = sum(tensor.nbytes for tensor in inputs.values())

    def take(self, maker: object) -> dict[str, Tensor] | None:
        """The inputs, once and for their maker alone. They are larger than the frames, so they aren't held on to."""
        if maker is not self._maker:
            return None
        inputs, self._inputs = self._inputs, None
        return inputs


@dataclass(frozen=True)
class Frames:
    """The sampled frames of one clip.

    pixels: uint8, (frames, height, width, 3), RGB.
    timestamps: seconds from the start of the file, one per frame.
    indices: position of each frame in the file, counted in frames.
    fps: average frame rate of the file; duration: seconds.
    span: start and end in seconds of the part that they were sampled from; None for the whole file.
    file: what they were read from, as it was before they were read; None for frames that are from no file.
    prepared: what the processor makes of them, if that is there already. It stays in its process.
    """

    pixels: Tensor
    timestamps: tuple[float, ...]
    indices: tuple[int, ...]
    fps: float
    duration: float
    span: tuple[float, float] | None = None
    file: FileIdentity | None = None
    prepared: Prepared | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        import torch

        if self.pixels.dtype != torch.uint8 or self.pixels.ndim != 4 or self.pixels.shape[-1] != 3:
            raise ValueError(
                f"pixels must be uint8 (frames, height, width, 3), not {self.pixels.dtype} {self.pixels.shape}"
            )

    @property
    def nbytes(self) -> int:
        return self.pixels.nbytes + (self.prepared.nbytes if self.prepared else 0)

    def __reduce__(self) -> tuple[object, ...]:
        """Pixels leave a DataLoader's worker through a pipe: a container's shared memory is too small for clips."""
        others = (self.timestamps, self.indices, self.fps, self.duration, self.span, self.file)
        return _frames, (self.pixels.numpy(), *others)


def _frames(pixels: ndarray, *others: Any) -> Frames:
    import torch

    return Frames(torch.from_numpy(pixels), *others)


@dataclass(frozen=True)
class Labelled:
    """A question on a clip whose right answer somebody wrote down. No training sees it."""

    clip: Clip
    question: str
    answer: str


LEAST_TEMPERATURE = 1e-3
"""Below it, other than 0, logits divided by it may leave float32; they have long been greedy by then."""


@dataclass(frozen=True)
class Sampling:
    """How a turn is decoded. Raises SettingError for values that no token can be drawn with."""

    temperature: float = 1.0
    """0 is greedy decoding; otherwise at least 0.001. At 1 the model's own probabilities are drawn from."""

    top_p: float = 1.0
    """Nucleus sampling: draw from the fewest tokens whose probabilities add up to this, above 0 and at most 1."""

    max_new_tokens: int = 256
    """Most tokens of a reply, the end token included. A reply that reaches the limit is unfinished."""

    def __post_init__(self) -> None:
        if self.temperature != 0 and not LEAST_TEMPERATURE <= self.temperature < math.inf:
            reason = f"must be 0 or a finite number of at least {LEAST_TEMPERATURE}, not {self.temperature}"
            raise SettingError("temperature", self.temperature, reason)
        check_number("top_p", self.top_p, above=0, most=1)
        check_number("max_new_tokens", self.max_new_tokens, least=1)


@dataclass(frozen=True)
class Turn:
    """One exchange of the chain, word for word. thought: what a thinking model wrote before the reply."""

    name: TurnName
    prompt: str
    reply: str
    seed: int
    logp: float
    finished: bool
    thought: str = ""


@dataclass(frozen=True)
class Trace:
    """Everything that was said about one question of one clip. outcome: "pair", or the filter that took it."""

    clip: str
    round: int
    aspect: PairAspect
    question: str
    turns: tuple[Turn, ...]
    outcome: str


@dataclass(frozen=True)
class RefusedPair(Trace):
    """What became of a pair from a file that can't be learned from. place: its file and line."""

    place: str = ""
    reason: str = ""


@dataclass(frozen=True)
class PreferencePair:
    """(chosen, rejected) = (revision, first answer) for one question of one clip (VideoSAVi, section 3).

    Other methods pair other responses, see `savi.methods`; critique: "" where nobody criticized.

    prompt: what both responses reply to; a text comes after the clip. reference_*_logp: summed over the response's
    tokens and the end token, under the frozen reference. seed: the clip's, from (run, round, clip).
    """

    clip: str
    video: str
    round: int
    aspect: PairAspect
    question: str
    prompt: Prompt
    chosen: str
    rejected: str
    critique: str
    reference_chosen_logp: float
    reference_rejected_logp: float
    seed: int
    prompt_version: str


@dataclass(frozen=True)
class TwoClipPair(PreferencePair):
    """A pair from a file whose rejected response is about another clip: each response is scored behind its own.

    rejected_clip: the id of that clip.
    """

    rejected_clip: str


def clips_of(pair: PreferencePair) -> tuple[str, ...]:
    """The ids of the clips that a pair is about: one, or that of the chosen and that of the rejected response."""
    return (pair.clip, pair.rejected_clip) if isinstance(pair, TwoClipPair) else (pair.clip,)


def readable(name: str) -> str:
    """A file's name as text that can be written in UTF-8: bytes of it that are no UTF-8 become \\xe9 and the like."""
    return SURROGATE.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", name)


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from anything that names a place: (run, round, clip), say. Stable over processes."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
