"""What a checkpoint takes of a GPU's memory and of a day: computed from its shape, not measured."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from transformers import AutoModelForImageTextToText

from savi.models.load import KnownBase

GB = 1e9
QUESTIONS, PROMPT, RESPONSE = 6, 60, 100  # a clip's pairs; tokens of a prompt and of a response
BRANCH = 400  # tokens of the longest turn, its prompt with all that it quotes and its reply
TURNS = 150 + 100 + 200 + 100  # tokens written one after the other: question, answer, critique, revision
RANK = 16
CHAIN = 8  # data.generation_batch_clips


@dataclass(frozen=True)
class Size:
    """A checkpoint, and what it makes of a clip.

    linear, rest: billions of weights in the decoder's linear layers, and elsewhere. width, ffn, layers, vocabulary: of
    the decoder. heads_width, kv_width: heads and key-value heads times their width. tokens: of the clip's prefix.
    """

    name: str
    linear: float
    rest: float
    width: int
    ffn: int
    layers: int
    heads_width: int
    kv_width: int
    vocabulary: int
    tokens: int

    @property
    def packed(self) -> int:
        """Tokens of a clip with its questions and both responses to each."""
        return self.tokens + QUESTIONS * (PROMPT + 2 * RESPONSE)

    def weights(self, nf4: bool) -> float:
        # 4 bits, an 8-bit scale for 64 weights, a float32 for 256 scales.
        return GB * (self.linear * (0.5 + 1 / 64 + 4 / (64 * 256) if nf4 else 2) + 2 * self.rest)

    def adapter(self) -> float:
        """Float32 weights and gradients, moments in 8 bits."""
        ends = 2 * self.width + 2 * (self.width + self.kv_width) + 2 * self.heads_width + 3 * (self.width + self.ffn)
        return RANK * self.layers * ends * (4 + 4 + 2)

    def step(self, clips: int) -> float:
        """The layers' inputs, one layer at work, the branches' mask, a chunk of logits.

        A Qwen2.5-VL layer in NF4 with LoRA keeps 10 ffn + 38 width bytes per token for its backward pass (counted with
        torch's saved_tensors_hooks); as much again is taken to be on its way.
        """
        layer = 2 * (10 * self.ffn + 38 * self.width)
        branches = self.packed - self.tokens
        mask = 3 * branches * self.packed
        copied = 2 * 2 * self.packed * self.heads_width  # keys and values, once for each query head
        row = self.packed * (2 * self.layers * self.width + layer) + mask + copied
        return clips * row + 16 * 1024 * self.vocabulary

    def writing(self, clips: int) -> float:
        """Keys and values in 2 bytes each: of the prefix, and of the branches that share it."""
        return clips * 4 * self.kv_width * self.layers * (self.tokens + QUESTIONS * BRANCH)

    def unseen(self, tokens: int) -> float:
        """The share of a pass's operations that a mask by blocks could save: pairs of branch tokens that don't see
        each other. tokens: of the clip's prefix.
        """
        branches = self.packed - self.tokens
        seen = QUESTIONS * (PROMPT**2 / 2 + 2 * (PROMPT * RESPONSE + RESPONSE**2 / 2))
        pair = 4 * self.layers * self.heads_width
        computed = pair * (tokens**2 / 2 + branches * tokens + branches**2)
        return pair * (branches**2 - seen) / (2 * GB * self.linear * (tokens + branches) + computed)

    def total(self, nf4: bool, clips: int = 1) -> float:
        """Gigabytes. The last term: CUDA and what its allocator wastes."""
        busy = max(self.step(clips), self.writing(CHAIN))
        return (self.weights(nf4) + self.adapter() + busy + 1.5e9) / GB

    def hours(self, clips: int) -> float:
        """A round over 4,000 clips: 40 ms a written token (of all branches of the chain's clips at once), 100 TFLOP/s
        for what is read.
        """
        read = 2 * GB * self.linear * (2 * self.tokens + 4 * self.packed)
        return 4000 * (TURNS * 0.04 / clips + read / 100e12) / 3600


CARDS = (24, 40, 80)


def most_clips(size: Size, nf4: bool, card: float) -> int | None:
    """The largest data.micro_batch_clips that leaves a tenth of a card free. card: GB. None if one clip is too many."""
    fitting = [clips for clips in (1, 2, 4, 8, 16) if size.total(nf4, clips) < 0.9 * card]
    return max(fitting, default=None)


def size_of(known: KnownBase, tokens: int) -> Size:
    """The size of a checkpoint, from its model without weights. tokens: of a clip's prefix.

    Layers of a decoder may differ in width: the widest one counts.
    """
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(known.config)
    text = known.config.get_text_config()
    layers = [
        (name.rpartition(".")[2], module)
        for name, module in known.family.language_model(model).named_modules()
        if isinstance(module, nn.Linear)
    ]

    def widest(name: str, least: int) -> int:
        return max((module.out_features for found, module in layers if found == name), default=least)

    linear = sum(module.weight.numel() for _, module in layers)
    return Size(
        name=known.config.model_type,
        linear=linear / GB,
        rest=(sum(weight.numel() for weight in model.parameters()) - linear) / GB,
        width=text.hidden_size,
        ffn=widest("up_proj", 4 * text.hidden_size),
        layers=text.num_hidden_layers,
        heads_width=widest("q_proj", text.hidden_size),
        kv_width=widest("k_proj", text.hidden_size),
        vocabulary=text.vocab_size,
        tokens=tokens,
    )
