"""Random models in miniature: the real classes of every family at a size that is built offline in a second.

They know nothing. They exist so that every path through the code runs on the genuine modelling code, processor and
tokenizer (LitGPT and TRL test this way), without a hub and without weights.
"""

from tools.tiny_models.gemma4 import build_gemma4
from tools.tiny_models.glm4v import build_glm4v, build_glm46v
from tools.tiny_models.internvl import build_internvl
from tools.tiny_models.llava import build_llava_next_video, build_llava_onevision
from tools.tiny_models.minicpm import build_minicpmv4_6
from tools.tiny_models.qwen import build_qwen2_5_vl, build_qwen2_vl, build_qwen3_vl, build_qwen3_vl_moe
from tools.tiny_models.qwen3_5 import build_qwen3_5, build_qwen3_5_moe
from tools.tiny_models.smolvlm import build_smolvlm
from tools.tiny_models.video_llama_3 import build_video_llama_3

MINIATURES = {
    "qwen2_vl": build_qwen2_vl,
    "qwen2_5_vl": build_qwen2_5_vl,
    "qwen3_vl": build_qwen3_vl,
    "qwen3_vl_moe": build_qwen3_vl_moe,
    "qwen3_5": build_qwen3_5,
    "qwen3_5_moe": build_qwen3_5_moe,
    "minicpmv4_6": build_minicpmv4_6,
    "glm4v": build_glm4v,
    "glm46v": build_glm46v,
    "gemma4": build_gemma4,
    "internvl": build_internvl,
    "llava_onevision": build_llava_onevision,
    "llava_next_video": build_llava_next_video,
    "smolvlm": build_smolvlm,
    "video_llama_3": build_video_llama_3,
}
"""A builder for each model type: it takes an empty folder and a seed, and gives the folder back."""

__all__ = ["MINIATURES", *(builder.__name__ for builder in MINIATURES.values())]
