"""A video-LLM as savi uses it: read a clip, then generate and score whatever branches from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from transformers import PreTrainedModel

from savi.cache import BoundedFolder
from savi.inference import ResponseScores, ScoreRequest
from savi.models.chat import Chat
from savi.models.load import LoadedBase
from savi.models.plain import PlainClips
from savi.models.prefix_cache import PrefixCache, PrefixCacheSettings, encoder_key
from savi.models.session import Reference, VideoLMSession, tokenized
from savi.models.ways import sharing
from savi.types import Clip, Frames

if TYPE_CHECKING:
    from peft import PeftModel


class VideoLM:
    """Encodes clips for one adapted model (implements :class:`savi.inference.VideoModel`).

    peft_model: the base with its LoRA adapter. reference: the frozen model that score_reference scores with.
    prefix_mib, prefix_folder: main memory, and a folder on disk if any, for the prefixes of clips already encoded.
    sampled_as: how their frames are sampled, in words: a prefix of frames that were sampled otherwise is not taken.
    decode: the frames of a clip whose prefix was taken for kept and is gone; None where the file can't be read.
    """

    def __init__(
        self,
        base: LoadedBase,
        peft_model: PeftModel,
        reference: Reference = "base",
        prefix_mib: float = PrefixCacheSettings.mib,
        prefix_folder: BoundedFolder | None = None,
        sampled_as: str = "",
        decode: Callable[[Clip], Frames | None] | None = None,
    ) -> None:
        self.peft_model = peft_model
        self.model: PreTrainedModel = peft_model.get_base_model()
        self.processor = base.processor
        self.family = base.family
        self.way = base.way
        self.reference: Reference = reference
        self.thought_tokens = base.thought_tokens
        self.chat = Chat.of(self.model, base.processor, base.family)
        key = encoder_key(self.model, base.processor, base.family, sampled_as)
        self.prefix_cache = PrefixCache(prefix_mib, prefix_folder, key)
        self.sharing = sharing(base.way, self.model, self.chat, self.prefix_cache, decode, graphs=base.cuda_graphs)

    @property
    def device(self) -> torch.device:
        device: torch.device = self.model.device
        return device

    @property
    def max_length(self) -> int | None:
        """Most tokens that the model was made for, None where its configuration doesn't say."""
        length: int | None = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        return length

    def is_cached(self, clip: Clip) -> bool:
        """Whether encode() can do without this clip's frames."""
        return self.sharing.is_cached(clip)

    def prepare(self, frames: Frames) -> Frames:
        """The frames with what the processor makes of them, where that spares encode() a wait. Other threads may call
        it."""
        return self.sharing.prepare(frames)

    def encode(self, clips: Sequence[Clip], frames: Sequence[Frames | None]) -> VideoLMSession:
        """Open a session on a batch of clips. frames may be None for a clip that is cached.

        Raises SaviError for a clip without frames that is not cached and can't be decoded.
        """
        read = self.sharing.read(clips, frames)
        return VideoLMSession(self.peft_model, self.chat, self.reference, clips, frames, read, self.thought_tokens)

    def score_one_by_one(self, frames: Sequence[Frames], requests: Sequence[ScoreRequest]) -> ResponseScores:
        """Plain scores, whatever the model's way: a row of its own per response. The oracle of score()'s tests."""
        plain = PlainClips(self.model, self.chat, frames)
        return plain.score([tokenized(self.chat, request) for request in requests])
