"""Qwen2.5-VL: M-RoPE on three axes, temporal positions in seconds, visual tokens in one run."""

from __future__ import annotations

from savi.models.family import Family

QWEN2_5_VL = Family(
    model_type="qwen2_5_vl",
    unquantised=("model.visual", "lm_head"),
    required=frozenset({"mm_token_type_ids", "second_per_grid_ts", "video_grid_thw"}),
)
