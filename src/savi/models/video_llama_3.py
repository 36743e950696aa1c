"""VideoLLaMA3: each frame behind its time, and patches that hardly change from the frame before left out."""

from __future__ import annotations

from savi.models.family import Family

VIDEO_LLAMA_3 = Family(
    model_type="video_llama_3",
    unquantised=("model.vision_model", "model.projector", "lm_head"),
    required=frozenset({"video_grid_thw", "video_merge_sizes", "video_compression_mask"}),
)
