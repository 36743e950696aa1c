"""LLaVA-NeXT-Video: frames cropped to one size, pooled, in one run of visual tokens; a Llama or Mistral decoder."""

from __future__ import annotations

from savi.models.family import Family

LLAVA_NEXT_VIDEO = Family(
    model_type="llava_next_video",
    unquantised=("model.vision_tower", "model.multi_modal_projector", "model.vision_resampler", "lm_head"),
)
