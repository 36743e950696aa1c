"""What a checkpoint takes of a GPU's memory and of a day: computed from its shape, not measured."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from statistics import NormalDist

import torch
from torch import nn
from transformers import AutoModelForImageTextToText

from savi.models.family import TOKENS_AT_ONCE
from savi.models.load import KnownBase
from savi.models.states import state_bytes
from savi.models.windows import windows

GB = 1e9
QUESTIONS, PROMPT, RESPONSE = 6, 60, 100  # a clip's pairs; tokens of a prompt and of a response
BRANCH = 400  # tokens of the longest turn, its prompt with all that it quotes and its reply
TURNS = ((100, 160), (60, 96), (150, 224), (60, 96))
"""Tokens of a reply, on average and at most: question, answer, critique, revision.

The average is what the prompts ask for, at four tokens for three English words: three questions of up to 25 words, two
sentences, 100 words and a verdict, two sentences. The most is max_new_tokens in experiments/qlora.yaml."""
SPREAD = 0.3
"""Standard deviation of the logarithm of a reply's length around its average: an assumption. With it, one reply in 20
is 1.6 times as long as the average."""
RANK = 16
CHAIN = 8  # data.generation_batch_clips


@dataclass(frozen=True)
class Size:
    """A checkpoint, and what it makes of a clip.

    linear, rest: billions of weights in the decoder's linear layers, and elsewhere. width, ffn, layers, vocabulary: of
    the decoder. heads_width, kv_width: heads and key-value heads times their width. tokens: of the clip's prefix.
    deep: how many decoder layers get visual features of their own (DeepStack). attending: decoder layers that keep keys
    and values, None for all. states: bytes that the recurrent ones carry on for one row of tokens. windowed: whether
    there are layers with windows, whose mask covers the prefix too.
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
    deep: int = 0
    attending: int | None = None
    states: int = 0
    windowed: bool = False

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
        """The layers' inputs, one layer at work, its mask, a chunk of logits.

        A Qwen2.5-VL layer in NF4 with LoRA keeps 10 ffn + 38 width bytes per token for its backward pass (counted with
        torch's saved_tensors_hooks); as much again is taken to be on its way.
        """
        layer = 2 * (10 * self.ffn + 38 * self.width)
        branches = self.packed - self.tokens
        mask = 3 * (self.packed if self.windowed else branches) * self.packed
        copied = 2 * 2 * self.packed * self.heads_width  # keys and values, once for each query head
        row = self.packed * (2 * self.layers * self.width + layer) + mask + copied
        return self.prefixes(clips) + clips * row + 16 * 1024 * self.vocabulary

    def prefixes(self, clips: int) -> float:
        """What the vision tower has made of the clips, in 2 bytes: embeddings, and features of DeepStack."""
        return clips * 2 * self.tokens * self.width * (1 + self.deep)

    def keys_and_values(self, clips: int, tokens: int) -> float:
        """Of so many clips with so many tokens each, in 2 bytes."""
        return clips * tokens * 4 * self.kv_width * (self.layers if self.attending is None else self.attending)

    def writing(self, clips: int) -> float:
        """The larger of two: reading the prefixes, and writing behind them.

        Keys and values of a prefix are held once (tests/models/test_kv_cache.py counts the bytes). Reading also has one
        pass of at most TOKENS_AT_ONCE tokens without gradients, whose layer at work holds some three times ffn and six
        times width per token. Writing has six branches of each clip. Once half of the clips are done, it has a copy of
        the other half too, because the next turn needs the prefixes as they were. Recurrent layers have a state for
        each clip, and in writing another one for each branch.
        """
        at_once = max(1, min(clips, TOKENS_AT_ONCE // self.tokens)) * self.tokens
        read = self.keys_and_values(clips, self.tokens) + at_once * 2 * (3 * self.ffn + 6 * self.width)
        written = self.keys_and_values(clips + clips // 2, self.tokens + QUESTIONS * BRANCH)
        states = clips * self.states
        return self.prefixes(clips) + max(read + states, written + states * (1 + QUESTIONS))

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
        for what is read. A turn lasts as long as its longest branch.
        """
        written = sum(longest(average, most, clips * QUESTIONS) for average, most in TURNS)
        read = 2 * GB * self.linear * (2 * self.tokens + 4 * self.packed)
        return 4000 * (written * 0.04 / clips + read / 100e12) / 3600


def longest(average: float, most: int, branches: int) -> float:
    """Tokens of the longest of some replies, whose lengths are taken to be lognormal (see SPREAD).

    The largest of n normal values is expected near the quantile (n - 0.375) / (n + 0.25) (Blom 1958): of 48 replies,
    one is 1.86 times as long as the average, unless `most` cuts it off.
    """
    deviations = NormalDist().inv_cdf((branches - 0.375) / (branches + 0.25))
    return min(most, average * exp(SPREAD * deviations - SPREAD**2 / 2))


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
    decoder = known.family.language_model(model)
    layers = [
        (name.rpartition(".")[2], module) for name, module in decoder.named_modules() if isinstance(module, nn.Linear)
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
        deep=len(getattr(getattr(known.config, "vision_config", None), "deepstack_visual_indexes", None) or ()),
        windowed=any(windows(text).values()),
        attending=sum(name == "k_proj" for name, _ in layers) or None,
        states=state_bytes(decoder),
    )
