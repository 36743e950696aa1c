"""SmolVLM2: frames as images of one size, each behind its time, a sentence about the video before them."""

from __future__ import annotations

from savi.models.family import Family

SMOLVLM = Family(
    model_type="smolvlm",
    unquantised=("model.vision_model", "model.connector", "lm_head"),
    decoder="model.text_model",
    visual="image_token",
)
