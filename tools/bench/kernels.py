"""The operations of a decoded step: savi's, with its adapter, next to the bare model's forward for as many branches.

They are counted, not timed. On a GPU each is a kernel or two, and launching them takes most of the time of a step.
Views and allocations launch nothing and don't count. The branches are written as on a GPU, in a row for each clip.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import DynamicCache

from savi.inference import GenerateRequest
from savi.models import generate
from savi.models.kv_cache import cache_name
from savi.models.video_lm import VideoLM
from savi.types import Sampling
from tools.bench.workload import SHAPES, build, clip, load

LAYERS = 28
"""Of the 7B model."""

BRANCHES = 6
TOKENS = 64
FEW, MORE = 4, 8
"""Tokens that are written: a step's operations are the difference, shared by the tokens between."""

LAUNCH_NOTHING = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "_unsafe_view", "alias"}


class Operations(TorchDispatchMode):
    """Counts what launches a kernel as long as the context lasts."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += not func.is_view and func.overloadpacket.__name__ not in LAUNCH_NOTHING
        return func(*args, **(kwargs or {}))


def measure(dtype: Literal["float32", "bfloat16"], folder: Path) -> dict[str, Any]:
    """Of a miniature with the layers of the 7B model, in a folder that is made."""
    shape = replace(SHAPES["toy"], layers=LAYERS, dtype=dtype)
    lm = load(shape, build(shape, folder, "cpu"), TOKENS, checkpointing=False, device="cpu")
    greedy, sampled = (_written(lm, Sampling(temperature, 0.9)) for temperature in (0.0, 1.0))
    bare = _forward(lm)
    return {
        "layers": LAYERS,
        "dtype": dtype,
        "branches": BRANCHES,
        "bare": bare,
        "greedy": greedy,
        "sampled": sampled,
        "ratio_greedy": round(greedy / bare, 3),
        "ratio_sampled": round(sampled / bare, 3),
    }


def _written(lm: VideoLM, sampling: Sampling) -> float:
    """Operations of a step of savi's in which no reply ends, drawing its tokens counted."""
    noise, frames = clip(TOKENS)
    session = lm.encode([noise], [frames])
    requests = [GenerateRequest(0, f"question {index}", seed=index) for index in range(BRANCHES)]
    counts = []
    in_cells, endless = (
        patch.object(generate, "as_rows", lambda cells: None),
        patch.object(lm.chat, "end_ids", frozenset[int]()),
    )
    for limit in (1, FEW, MORE):  # the first also reads the clip
        with Operations() as operations, in_cells, endless:
            session.generate(requests, replace(sampling, max_new_tokens=limit))
        counts.append(operations.count)
    return (counts[-1] - counts[-2]) / (MORE - FEW)


@torch.no_grad()
def _forward(lm: VideoLM) -> int:
    """Operations of a step of the model's own forward, without an adapter, its cache filled."""
    lm.family.language_model(lm.model).set_attn_implementation("sdpa")
    cache = DynamicCache(config=lm.model.config.get_text_config())
    with lm.peft_model.disable_adapter():
        for start, length in ((0, TOKENS), (TOKENS, 1)):
            ids = torch.zeros(BRANCHES, length, dtype=torch.int64)
            positions = torch.arange(start, start + length).expand(3, BRANCHES, -1)
            with Operations() as operations:
                lm.model(input_ids=ids, position_ids=positions, use_cache=True, **{cache_name(lm.model): cache})
    return operations.count
