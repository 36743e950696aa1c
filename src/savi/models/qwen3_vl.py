"""Qwen3-VL: a time before each pair of frames, and DeepStack: visual features on several decoder layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from savi.models.family import ClipPrefix, Family


class Qwen3VL(Family):
    def deep_features(self, given: dict[str, Any], length: int) -> Tensor | None:
        features = torch.stack(list(given.pop("deepstack_visual_embeds")))
        deep = features.new_zeros(len(features), length, features.shape[-1])
        deep[:, given.pop("visual_pos_masks")[0, :length]] = features
        return deep

    def decoder_extras(self, prefixes: Sequence[ClipPrefix], width: int) -> dict[str, Any]:
        # Zeros stand at the prefix's text tokens, so that the whole prefix may be named as visual.
        lengths = torch.tensor([len(prefix) for prefix in prefixes])
        device = prefixes[0].embeds.device
        layers = torch.cat([prefix.deep for prefix in prefixes if prefix.deep is not None], dim=1)
        return {
            "visual_pos_masks": (torch.arange(width) < lengths[:, None]).to(device),
            "deepstack_visual_embeds": list(layers),
        }


QWEN3_VL = Qwen3VL(
    model_type="qwen3_vl",
    unquantised=("model.visual", "lm_head"),
    required=frozenset({"mm_token_type_ids", "video_grid_thw"}),
    least_frames=2,
)
