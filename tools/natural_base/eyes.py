"""Stage 1: the tower and the connector learn to say, in the language model's own word embeddings, what a frame shows.

Four visual tokens of a frame are for one quarter of the picture, and read like text: color, shape, place, and a sum of
words for where in its quarter the object is and how large. The loss is the squared error alone; the language model is
not involved.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase, SmolVLMForConditionalGeneration

from savi.video.sampling import midpoint_indices
from savi.world.render import SIZE, centre, changed, radius
from savi.world.scenes import FRAMES, PLACES, Scene, Thing
from tools.natural_base.build import FEATURES, SAMPLED

REACH = 0.1
"""How far an object goes from the middle of its quarter, in widths of the picture."""


def see(model: SmolVLMForConditionalGeneration, pixel_values: Tensor) -> Tensor:
    """Visual tokens (frames, FEATURES, width) of pixel values (frames, 3, SIDE, SIDE)."""
    hidden = model.model.vision_model(pixel_values=pixel_values).last_hidden_state
    tokens: Tensor = model.model.connector(hidden)
    return tokens


class WordTargets:
    """The targets of visual tokens. mean: the mean of all word embeddings."""

    def __init__(self, embeddings: Tensor, tokenizer: PreTrainedTokenizerBase) -> None:
        self.mean = embeddings.mean(0)

        def vector(word: str) -> Tensor:
            ids = tokenizer(f" {word}", add_special_tokens=False).input_ids
            return (embeddings[ids] - self.mean).sum(0)

        self.vector: Callable[[str], Tensor] = vector
        self.known: dict[str, Tensor] = {}

    def of(self, scene: Scene) -> Tensor:
        """(SAMPLED, FEATURES, width)."""
        targets = torch.stack([self._empty(place) for place in PLACES]).repeat(SAMPLED, 1, 1, 1)
        for thing in scene.things:
            for moment, index in enumerate(midpoint_indices(FRAMES, SAMPLED)):
                if index >= thing.appears:
                    targets[moment, PLACES.index(thing.place)] = self._shown(thing, index)
        return self.mean + targets.flatten(1, 2)

    def _word(self, word: str) -> Tensor:
        if word not in self.known:
            self.known[word] = self.vector(word)
        return self.known[word]

    def _empty(self, place: str) -> Tensor:
        return torch.stack([self._word("no"), self._word("object"), self._place(place), torch.zeros_like(self.mean)])

    def _place(self, place: str) -> Tensor:
        row, column = place.split()
        return self._word(row) + self._word(column)

    def _shown(self, thing: Thing, index: int) -> Tensor:
        """The words for one object, (4, width): color, shape, place, and where in its quarter it is and how large."""
        white = thing.change == "turns white" and changed(thing, index) >= 0.5
        x, y = centre(thing, index)
        across, along = ((value / SIZE % 0.5 - 0.25) / REACH for value in (x, y))
        larger = radius(thing, index) / SIZE / REACH - 1
        where = (
            abs(across) * self._word("right" if across > 0 else "left")
            + abs(along) * self._word("down" if along > 0 else "up")
            + 1.5 * abs(larger) * self._word("huge" if larger > 0 else "tiny")
        )
        color = self._word("white" if white else thing.color)
        return torch.stack([color, self._word(thing.shape), self._place(thing.place), where])


def eye_loss(model: SmolVLMForConditionalGeneration, pixel_values: Tensor, targets: Tensor) -> Tensor:
    """The squared error over the targets' variance: 1 for eyes that say the mean."""
    wanted = targets.view(-1, FEATURES, targets.shape[-1])
    variance = (wanted - wanted.mean((0, 1))).square().mean()
    return (see(model, pixel_values) - wanted).square().mean() / variance
