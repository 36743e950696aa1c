"""The model card of a miniature base: what it is, how it was made, and what was measured."""

from __future__ import annotations

from savi.world.questions import KINDS
from tools.base_model.curriculum import PRIOR_RANGE

TABLES = """| | |
|---|---|
{rows}

| kind | greedy answer | revised |
|---|---|---|
{kinds}
"""

CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: video-text-to-text
tags: [qwen2_5_vl, miniature, savi]
---

# The miniature base model of savi

The genuine `Qwen2_5_VLForConditionalGeneration` class with {parameters:.1f} million parameters, and a real processor.
It sees 32 frames of a clip of savi's small world (colored shapes that appear, move and change) and knows a few dozen
words: enough to ask a question about the clip, to answer one, to criticize an answer and to revise it. With it,
self-alignment runs on any laptop and can be checked against the truth. It is good for nothing else.

    from transformers import AutoModelForImageTextToText, AutoProcessor
    model = AutoModelForImageTextToText.from_pretrained(folder)
    processor = AutoProcessor.from_pretrained(folder)

## How it was made

`make base SEED={seed}{make}` (`python -m tools.base_model.teach --seed {seed}{option}`), from random weights, on one
CPU thread, in {minutes:.0f} minutes, with labels, on scenes that neither training clips nor benchmarks share:

1. the vision tower on dense labels (what each visual token shows); after this stage it stays as it is;
2. captions of whole clips (every object with its properties, in order of appearance) and of single objects;
3. the critique chain, all four turns mixed (ask, answer, criticize, revise), with captions so that they are not
   forgotten.{weak}

## The gap between answering and criticizing was made on purpose

Self-critique can only help a model that judges better than it answers. This one was made so. **Its answers carry a
language prior.** Every question text has a favorite answer, drawn at random. While the model was taught to answer,
the favorite took the place of the truth with a probability that was drawn for that text between
{low} and {high}. Critiques were taught clean: evidence from the clip first, then the verdict. Revisions were
taught to follow the critique, also a mistaken one. The prior is in the answers from the first example on. No earlier
state of this model answered better, so the gains of alignment were never in its answers before.

## Measured

On {scenes} development scenes (three questions each, kinds and answers balanced; free form, exact match), and on
the questions that it asks by itself at temperature 1.

"""

ROWS = {
    "multiple choice": "right option most likely, of four",
    "greedy": "greedy answers right",
    "greedy revised": "... after criticism and revision",
    "sampled": "sampled answers right (temperature 1)",
    "sampled revised": "... after criticism and revision",
    "malformed": "greedy answers malformed",
    "own questions valid": "own questions that are valid for the clip",
    "own answers changed": "sampled answers to them that the revision changes",
    "changed answers right": "changed answers that end up right",
}


def model_card(seed: int, kind: str, parameters: int, numbers: dict[str, float], scenes: int, seconds: float) -> str:
    """The README.md of a base model's folder. numbers: from `measure`, shares between 0 and 1."""
    rows = "\n".join(f"| {text} | {numbers[name]:.1%} |" for name, text in ROWS.items())
    kinds = "\n".join(
        f"| {kind} | {numbers[f'greedy {kind}']:.1%} | {numbers[f'greedy revised {kind}']:.1%} |" for kind in KINDS
    )
    low, high = PRIOR_RANGE
    make, option = ("", "") if kind == "usual" else (f" KIND={kind}", f" --kind {kind}")
    weak = "\n   **Cut short on purpose: the critic of this base is weak.**" if kind == "weak" else ""
    return (CARD + TABLES).format(
        seed=seed,
        make=make,
        option=option,
        weak=weak,
        parameters=parameters / 1e6,
        minutes=seconds / 60,
        low=low,
        high=high,
        scenes=scenes,
        rows=rows,
        kinds=kinds,
    )
