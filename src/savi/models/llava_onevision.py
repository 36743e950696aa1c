"""LLaVA-OneVision: frames of one size, pooled, in one run of visual tokens with a newline feature at its end."""

from __future__ import annotations

from savi.models.family import Family

LLAVA_ONEVISION = Family(
    model_type="llava_onevision",
    unquantised=("model.vision_tower", "model.multi_modal_projector", "lm_head"),
)
