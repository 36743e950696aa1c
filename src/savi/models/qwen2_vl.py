"""Qwen2-VL: M-RoPE on three axes, temporal positions in frames, visual tokens in one run."""

from __future__ import annotations

from savi.models.family import Family

QWEN2_VL = Family(
    model_type="qwen2_vl",
    unquantised=("model.visual", "lm_head"),
    required=frozenset({"mm_token_type_ids", "video_grid_thw"}),
)
