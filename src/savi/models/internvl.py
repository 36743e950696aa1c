"""InternVL3 and 3.5 (the `-hf` checkpoints): frames as images of one size, "Frame1: " and so on between them."""

from __future__ import annotations

from savi.models.family import Family

INTERNVL = Family(
    model_type="internvl",
    unquantised=("model.vision_tower", "model.multi_modal_projector", "lm_head"),
    visual="image_token",
)
