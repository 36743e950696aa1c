"""Ways of writing the same chain on one device: by a recorded step or without, over weights in four bits or in full."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from tools.bench import chain
from tools.bench.meters import Stopwatch
from tools.bench.workload import Shape, clip, load


def compare(shape: Shape, folder: Path, tokens: int, repeats: int, device: str) -> dict[str, Any]:
    """Seconds of a clip's chain in four ways.

    ratio_*_graph: those of unrecorded steps over those of recorded ones, over the same weights. identical_replies_*: of
    these two. ratio_nf4: those over full weights over those over four bits, unrecorded.
    """
    noise, frames = zip(*(clip(tokens, seed) for seed in range(chain.CLIPS)), strict=True)
    row: dict[str, Any] = {"visual_tokens": tokens, "clips_together": chain.CLIPS, "dtype": shape.dtype}
    for name, nf4 in ((shape.dtype, False), ("nf4", True)):
        lm = load(replace(shape, nf4=nf4), folder, tokens, checkpointing=False, device=device, keep=False)
        sharing: Any = lm.sharing
        watches, same, count = {graphs: Stopwatch(device) for graphs in (False, True)}, 0, 0
        for _ in range(repeats + 1):
            written = []
            for graphs, watch in watches.items():
                sharing.graphs = graphs
                written.append([text for turn in chain.run(lm, noise, frames, watch) for text in turn])
            same += sum(a == b for a, b in zip(*written, strict=True))
            count += len(written[0])
        # The first run pays for what is loaded and compiled once.
        plain, recorded = (median(watch.readings[1:]) / chain.CLIPS for watch in watches.values())
        row |= {f"{name}_s": round(plain, 4), f"{name}_graph_s": round(recorded, 4)}
        row |= {f"ratio_{name}_graph": round(plain / recorded, 3), f"identical_replies_{name}": f"{same} of {count}"}
        del lm, sharing
        if device == "cuda":
            torch.cuda.empty_cache()
    row["ratio_nf4"] = round(row[f"{shape.dtype}_s"] / row["nf4_s"], 3)
    return row
