"""`python -m tools.bench.operations`: a step's operations, skilled TRL's over savi's, computed from shapes.

Unlike times, they can be had of a model of any size. They leave out all that isn't a product of matrices: norms,
activations, casts, and what Python takes. Both sides have checkpointing, and the reference's scores once.
"""

from __future__ import annotations

from savi.models.adapters import LoraSettings
from tools.bench.workload import QUESTIONS, SHAPES, Shape

RANK = LoraSettings().r
MARKS = 15
"""Tokens of the chat's own around a prompt, about."""

TEXTS = ((1024, 24, 24), (1024, 60, 100), (2048, 60, 100))
"""Visual tokens, and tokens of a prompt and of a response."""

ATTENTION = 1 + 1 + 1 + 2.5
"""Passes of a layer's attention: reference, forward, computed again, and backward, which has five products for two."""


def ratio(shape: Shape, visual: int, prompt: int, response: int, questions: int = QUESTIONS) -> float:
    """Operations of a skilled user's step over savi's, the vision tower and the reference counted on both sides."""
    prompt, response = prompt + MARKS, response + 1  # with the token that ends it
    scored = 2 * questions * response
    once = _vision(shape, visual) + 4 * 2 * shape.width * shape.vocabulary * scored
    return (once + _rows(shape, visual + prompt + response, 2 * questions)) / (
        once + _tree(shape, visual, questions * prompt + scored, scored)
    )


def _rows(shape: Shape, length: int, rows: int) -> float:
    """A row for each response. Unlike lengths are padded, under a mask, so that all pairs of tokens are computed."""
    weights, adapter, _ = _layer(shape)
    linear = 2 * length * (4 * weights + 6 * adapter)
    return shape.layers * rows * (linear + ATTENTION * 4 * shape.width * length**2)


def _tree(shape: Shape, visual: int, branches: int, scored: int) -> float:
    """One row. Its last layer has keys and values of all tokens, and all else of those that are scored."""
    weights, adapter, down = _layer(shape)
    tokens, pair = visual + branches, ATTENTION * 4 * shape.width
    per_token = 2 * (4 * weights - down + 6 * adapter)  # `down_proj` isn't computed again
    key_value = 2 * shape.width * _key_value(shape)
    kept = 2 * (4 * key_value + 6 * RANK * 2 * (shape.width + _key_value(shape)))
    seen = visual**2 / 2 + branches * visual + branches**2
    last = kept * tokens + (per_token - kept) * scored + pair * scored * tokens
    return (shape.layers - 1) * (per_token * tokens + pair * seen) + last


def _layer(shape: Shape) -> tuple[int, int, int]:
    """Weights of a layer, of its adapter, and of its `down_proj`."""
    ends = 4 * shape.width + 2 * (shape.width + _key_value(shape)) + 3 * (shape.width + shape.ffn)
    return shape.linear_weights // shape.layers, RANK * ends, shape.width * shape.ffn


def _key_value(shape: Shape) -> int:
    return shape.width // shape.heads * shape.key_value_heads


def _vision(shape: Shape, visual: int) -> float:
    """Linear layers of the vision tower, four patches for a visual token."""
    weights = 4 * shape.vision_width**2 + 3 * shape.vision_width * shape.vision_ffn
    return 2 * 4 * visual * shape.vision_layers * weights


def main() -> None:
    print("| model | layers | " + " | ".join(f"{visual}, {p} / {r}" for visual, p, r in TEXTS) + " |")
    print("|---" * (2 + len(TEXTS)) + "|")
    for name in ("small", "narrow", "deep", "7b"):
        ratios = [f"{ratio(SHAPES[name], *texts):.1f}" for texts in TEXTS]
        print(f"| {name} | {SHAPES[name].layers} | " + " | ".join(ratios) + " |")
    questions = [f"{count}: {ratio(SHAPES['7b'], 1024, 60, 100, count):.1f}" for count in (2, 6, 12, 24)]
    print(f"\n7b at 1024, 60 / 100 by questions: {', '.join(questions)}")


if __name__ == "__main__":
    main()
