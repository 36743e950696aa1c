"""The base while it is taught: savi's packed rows over frozen language weights, LoRA, and visual tokens of the reel."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import SmolVLMForConditionalGeneration, SmolVLMProcessor

from savi.models.chat import Chat
from savi.models.family import ClipPrefix
from savi.models.load import BaseSettings, load_base
from savi.models.prefix import layout
from savi.models.score import score_packed
from savi.models.tree import TokenizedRequest
from savi.types import Frames
from savi.video.sampling import midpoint_indices
from savi.world.render import SIZE
from savi.world.scenes import FPS, FRAMES
from tools.natural_base.adapter import FrozenLinear, adapt
from tools.natural_base.build import SAMPLED
from tools.natural_base.lessons import Exchange


class Pupil:
    """A base with LoRA. factors: what is learned of the language model; connector: what is learned of the eyes."""

    def __init__(self, folder: Path, seed: int) -> None:
        base = load_base(BaseSettings(str(folder)), SAMPLED)
        self.model: SmolVLMForConditionalGeneration = base.model
        self.processor: SmolVLMProcessor = base.processor
        self.family = base.family
        self.chat = Chat.of(base.model, base.processor, base.family)
        self.factors: dict[str, nn.Parameter] = adapt(self.model.model.text_model, seed)
        self.connector = self.model.model.connector
        self.connector.requires_grad_(True)
        ids, self.tail = self._empty_prefix()
        self.is_visual = ids == self.processor.image_token_id
        with torch.no_grad():
            self.words = self.model.get_input_embeddings()(ids)
        self.model.lm_head = FrozenLinear(self.model.lm_head.weight)

    def _empty_prefix(self) -> tuple[Tensor, str]:
        """The token ids of every clip's prefix, int64 (prefix,), and the text behind it. Clips of the world differ in
        their pixels alone."""
        indices = tuple(midpoint_indices(FRAMES, SAMPLED))
        frames = Frames(
            torch.zeros(SAMPLED, SIZE, SIZE, 3, dtype=torch.uint8),
            tuple(float(index / FPS) for index in indices),
            indices,
            float(FPS),
            float(FRAMES / FPS),
        )
        chat = self.chat.text("")
        ids = self.family.video_inputs(self.processor, chat, frames)["input_ids"][0]
        length, tail = layout(self.processor, self.family, chat, ids)
        return ids[:length], tail

    def prefix(self, tokens: Tensor) -> ClipPrefix:
        """A clip's prefix. tokens: its visual tokens, (SAMPLED, FEATURES, width)."""
        length = len(self.words)
        embeds = self.words.masked_scatter(self.is_visual[:, None], tokens.flatten(0, 1))
        return ClipPrefix(embeds, torch.arange(length)[None], length, tail=self.tail)

    def request(self, prefix: ClipPrefix, exchange: Exchange) -> TokenizedRequest:
        return TokenizedRequest(
            self.chat.prompt_ids(exchange.prompt, prefix), (self.chat.response_ids(exchange.reply),)
        )

    def logps(self, tokens: Tensor, exchanges: Sequence[Exchange]) -> tuple[Tensor, Tensor]:
        """The log-probability of each reply, float32 (exchanges,), and how many tokens it has."""
        prefix = self.prefix(tokens)
        scores = score_packed(self.model, self.family, [prefix], [[self.request(prefix, one) for one in exchanges]])
        return scores.logps, scores.lengths

    def watch(self, pixel_values: Tensor) -> Tensor:
        """Visual tokens (clips, SAMPLED, FEATURES, width) of pixel values (frames, 3, SIDE, SIDE)."""
        with torch.no_grad():
            hidden = self.model.model.vision_model(pixel_values=pixel_values).last_hidden_state
        tokens: Tensor = self.connector(hidden)
        return tokens.unflatten(0, (-1, SAMPLED))

    def learned(self) -> dict[str, nn.Parameter]:
        """What the second stage learns, by name."""
        connector = {f"connector.{name}": weight for name, weight in self.connector.named_parameters()}
        return {f"language.{name}": weight for name, weight in self.factors.items()} | connector
