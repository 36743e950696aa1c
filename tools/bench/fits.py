"""`python -m tools.bench.fits`: what fits where, the tables of docs/models.md, computed and not measured.

Tokens are those of 32 frames of 640 x 360.
"""

from __future__ import annotations

from savi.check.sizes import CARDS, CHAIN, GB, Size, most_clips
from tools.bench.workload import SHAPES

SIZES = (
    Size("SmolVLM2 2.2B", 1.611, 0.636, 2048, 8192, 24, 2048, 2048, 49280, 3000),
    Size("Qwen2.5-VL 3B", 2.775, 0.980, 2048, 11008, 36, 2048, 256, 151936, 4800),
    Size("Qwen2.5-VL 7B", 6.525, 1.767, 3584, 18944, 28, 3584, 512, 152064, 4800),
    Size("LLaVA-OneVision 7B", 6.525, 1.505, 3584, 18944, 28, 3584, 512, 152000, 6300),
    Size("InternVL3 8B", 6.525, 1.419, 3584, 18944, 28, 3584, 512, 151674, 8500),
    Size("Qwen3-VL 8B", 6.946, 1.821, 4096, 12288, 36, 4096, 1024, 151936, 3700, deep=3),
)


def main() -> None:
    print("| checkpoint | clip, tokens | packed, tokens | NF4, GB | 24 / 40 / 80 GB | bfloat16, GB | 24 / 40 / 80 GB |")
    print("|---|---|---|---|---|---|---|")
    for size in SIZES:
        cells = [size.name, f"{size.tokens:,}", f"{size.packed:,}"]
        for nf4 in (True, False):
            cells += [f"{size.total(nf4):.1f}", " / ".join(str(most_clips(size, nf4, card) or "-") for card in CARDS)]
        print("| " + " | ".join(cells) + " |")
    print("\n| checkpoint | weights | adapter | a step | or writing | hours per round | with 1 clip per chain |")
    print("|---|---|---|---|---|---|---|")
    for size in SIZES:
        parts = (size.weights(nf4=True), size.adapter(), size.step(1), size.writing(CHAIN))
        cells = [size.name, *(f"{part / GB:.1f}" for part in parts), f"{size.hours(CHAIN):.0f}", f"{size.hours(1):.0f}"]
        print("| " + " | ".join(cells) + " |")
    (size,) = (size for size in SIZES if size.name == "Qwen2.5-VL 7B")
    shares = [f"{size.unseen(tokens):.1%} at {tokens:,} visual tokens" for tokens in (1024, size.tokens)]
    print(f"\nOf a pass of {size.name}, pairs of branch tokens that don't see each other: {', '.join(shares)}")
    attention = [f"{name} {shape.attention_share(1024):.1%}" for name, shape in SHAPES.items()]
    print(f"\nAttention of 1,024 tokens, next to the benchmark's linear layers: {', '.join(attention)}")


if __name__ == "__main__":
    main()
