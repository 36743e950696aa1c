"""A video-LLM as savi uses it: encode a clip once, then generate and score whatever branches from it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from savi.errors import SaviError
from savi.inference import ResponseScores, ScoreRequest
from savi.models.chat import Chat
from savi.models.load import LoadedBase
from savi.models.prefix import encode_prefix
from savi.models.prefix_cache import PrefixCache, PrefixCacheSettings, encoder_key
from savi.models.score import score_plain
from savi.models.session import Reference, VideoLMSession
from savi.types import Clip, Frames, OpenedClip


class VideoLM:
    """Encodes clips for one adapted model (implements :class:`savi.inference.VideoModel`).

    peft_model: the base with its LoRA adapter. reference: the frozen model that score_reference scores with.
    prefix_cache: where the prefixes of clips already encoded are kept. sampled_as: how their frames are sampled, in
    words: a prefix of frames that were sampled otherwise is not taken.
    """

    def __init__(
        self,
        base: LoadedBase,
        peft_model: PeftModel,
        reference: Reference = "base",
        prefix_cache: PrefixCacheSettings = PrefixCacheSettings(),  # noqa: B008 (frozen)
        sampled_as: str = "",
    ) -> None:
        self.peft_model = peft_model
        self.model: PreTrainedModel = peft_model.get_base_model()
        self.processor = base.processor
        self.family = base.family
        self.reference: Reference = reference
        self.chat = Chat(self.model, base.processor, base.family)
        key = encoder_key(self.model, base.processor, base.family, sampled_as)
        self.prefix_cache = PrefixCache(prefix_cache, key)

    @property
    def device(self) -> torch.device:
        device: torch.device = self.model.device
        return device

    def is_cached(self, clip: Clip) -> bool:
        """Whether encode() can do without this clip's frames."""
        return clip in self.prefix_cache

    @torch.no_grad()
    def encode(self, clips: Sequence[Clip], frames: Sequence[Frames | None]) -> VideoLMSession:
        """Open a session on a batch of clips. frames may be None for a clip that is cached.

        No gradient is recorded: the vision tower and the embedding are frozen. Raises SaviError for a clip without
        frames that is not cached, and for a model whose clips can't be shared between prompts.
        """
        prefixes = []
        for clip, clip_frames in zip(clips, frames, strict=True):
            prefix = self.prefix_cache.get(clip)
            if prefix is None:
                if clip_frames is None:
                    raise SaviError(
                        f"clip {clip.id} is not kept any more, because its file was replaced while the run read it: "
                        "resume the run"
                    )
                chat = self.chat.text(clip.opening if isinstance(clip, OpenedClip) else "")
                prefix = encode_prefix(self.model, self.processor, self.family, chat, clip_frames)
                self.prefix_cache.add(clip, prefix, clip_frames.file)
            prefixes.append(prefix.to(self.device))
        return VideoLMSession(self.peft_model, self.chat, self.reference, clips, frames, prefixes)

    def score_one_by_one(self, frames: Sequence[Frames], requests: Sequence[ScoreRequest]) -> ResponseScores:
        """Plain scoring: every response in a row of its own, the clip read anew. The oracle of score()'s tests."""
        rows, lengths = [], []
        for request in requests:
            for response in request.responses:
                chat = self.chat.text(request.prompt)
                inputs = self.family.video_inputs(self.processor, chat, frames[request.clip])
                ids = self.chat.response_ids(response)
                rows.append({name: value.to(self.device) for name, value in _append(inputs, ids).items()})
                lengths.append(len(ids))
        return score_plain(self.model, self.family, rows, lengths)


def _append(inputs: dict[str, Tensor], ids: Sequence[int]) -> dict[str, Tensor]:
    """A row of processor outputs with text tokens behind it."""
    row = inputs["input_ids"]
    more = {name: torch.zeros(1, len(ids), dtype=v.dtype) for name, v in inputs.items() if v.shape == row.shape}
    more["input_ids"] = torch.tensor([ids], dtype=row.dtype)
    if "attention_mask" in more:
        more["attention_mask"] += 1
    return {name: torch.cat([value, more[name]], 1) if name in more else value for name, value in inputs.items()}
