"""Every family of video-LLMs that savi is tested with, one record each. A new family is one more record.

A record says what savi can't read from the model, the processor and the chat template themselves; see
:class:`savi.models.family.Family`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from savi.models.family import ATTENTION_AND_MLP, ClipPrefix, DecoderArguments, Family


class Qwen3VL(Family):
    """DeepStack: visual features are added to the outputs of the first decoder layers too."""

    def deep_features(self, given: DecoderArguments, length: int) -> Tensor | None:
        features = torch.stack(list(given.pop("deepstack_visual_embeds")))
        deep = features.new_zeros(len(features), length, features.shape[-1])
        deep[:, given.pop("visual_pos_masks")[0, :length]] = features
        return deep

    def decoder_extras(self, prefixes: Sequence[ClipPrefix], width: int) -> DecoderArguments:
        # The features of the prefix's text tokens are zeros, so the whole prefix can be marked as visual.
        lengths = torch.tensor([len(prefix) for prefix in prefixes])
        device = prefixes[0].embeds.device
        layers = torch.cat([prefix.deep for prefix in prefixes if prefix.deep is not None], dim=1)
        return {
            "visual_pos_masks": (torch.arange(width) < lengths[:, None]).to(device),
            "deepstack_visual_embeds": list(layers),
        }


DELTA_RULE = ("in_proj_qkv", "in_proj_z", "in_proj_b", "in_proj_a", "out_proj")
"""The linear layers of a gated delta layer: queries, keys and values in one; output gate; step size; decay; output."""

GATES = ("in_proj_b", "in_proj_a")
"""A number a head: in four bits they would save next to nothing, and what a state forgets depends on them."""

EXPERTS = ("experts.gate_up_proj", "experts.down_proj")
"""All routed experts of a layer in two parameters."""

RECORDS = (
    # M-RoPE on three axes, temporal positions in frames, visual tokens in one run.
    Family(
        model_type="qwen2_vl",
        unquantized=("model.visual", "lm_head"),
        required=frozenset({"mm_token_type_ids", "video_grid_thw"}),
    ),
    # M-RoPE on three axes, temporal positions in seconds, visual tokens in one run.
    Family(
        model_type="qwen2_5_vl",
        unquantized=("model.visual", "lm_head"),
        required=frozenset({"mm_token_type_ids", "second_per_grid_ts", "video_grid_thw"}),
        least_transformers="5.18",  # 5.17 cuts the seconds between frames to whole ones: most clips have 0
    ),
    # A time before each pair of frames.
    Qwen3VL(
        model_type="qwen3_vl",
        unquantized=("model.visual", "lm_head"),
        required=frozenset({"mm_token_type_ids", "video_grid_thw"}),
        least_frames=2,
    ),
    # Qwen3-VL with a mixture of experts.
    Qwen3VL(
        model_type="qwen3_vl_moe",
        unquantized=("model.visual", "lm_head"),
        experts=EXPERTS,
        required=frozenset({"mm_token_type_ids", "video_grid_thw"}),
        least_frames=2,
    ),
    # Qwen3.5 to 3.8: gated delta rule in three of four layers, clips as in Qwen3-VL, without DeepStack.
    Family(
        model_type="qwen3_5",
        unquantized=("model.visual", "lm_head", *GATES),
        required=frozenset({"mm_token_type_ids", "video_grid_thw"}),
        linear=(*ATTENTION_AND_MLP, *DELTA_RULE),
        least_frames=2,
    ),
    Family(
        model_type="qwen3_5_moe",
        unquantized=("model.visual", "lm_head", *GATES, "shared_expert_gate"),
        experts=EXPERTS,
        required=frozenset({"mm_token_type_ids", "video_grid_thw"}),
        linear=(*ATTENTION_AND_MLP, *DELTA_RULE),
        least_frames=2,
    ),
    # MiniCPM-V 4.6: the decoder of Qwen3.5, frames as images without a time, positions on one axis.
    Family(
        model_type="minicpmv4_6",
        unquantized=("model.vision_tower", "model.merger", "lm_head", *GATES),
        linear=(*ATTENTION_AND_MLP, *DELTA_RULE),
    ),
    # GLM-4.1V and 4.6V-Flash: each pair of frames as an image with its second behind it.
    *(
        Family(
            model_type=model_type,
            unquantized=("model.visual", "lm_head"),
            visual="image_token",
            required=frozenset({"mm_token_type_ids", "video_grid_thw"}),
            linear=("q_proj", "k_proj", "v_proj", "o_proj", "gate_up_proj", "down_proj"),
            least_frames=2,
        )
        for model_type in ("glm4v", "glm46v")
    ),
    # Gemma 4: each frame behind its minute and second, windows in most layers, visual tokens that see each other.
    Family(
        model_type="gemma4",
        unquantized=(
            *("model.vision_tower", "model.audio_tower", "model.embed_vision", "model.embed_audio", "lm_head"),
            *("per_layer_model_projection", "router"),
        ),
        required=frozenset({"mm_token_type_ids"}),
        linear=(*ATTENTION_AND_MLP, "per_layer_input_gate", "per_layer_projection"),
        own_size=True,
    ),
    # InternVL3 and 3.5 (the `-hf` checkpoints): frames as images of one size, "Frame1: " and so on between them.
    Family(
        model_type="internvl",
        unquantized=("model.vision_tower", "model.multi_modal_projector", "lm_head"),
        visual="image_token",
        own_size=True,
    ),
    # Frames of one size, pooled, in one run of visual tokens with a newline feature at its end.
    Family(
        model_type="llava_onevision",
        unquantized=("model.vision_tower", "model.multi_modal_projector", "lm_head"),
        own_size=True,
    ),
    # Frames cropped to one size, pooled, in one run of visual tokens; a Llama or Mistral decoder.
    Family(
        model_type="llava_next_video",
        unquantized=("model.vision_tower", "model.multi_modal_projector", "model.vision_resampler", "lm_head"),
        own_size=True,
    ),
    # SmolVLM2: frames as images of one size, each behind its time, a sentence about the video before them.
    Family(
        model_type="smolvlm",
        unquantized=("model.vision_model", "model.connector", "lm_head"),
        decoder="model.text_model",
        visual="image_token",
        own_size=True,
    ),
    # VideoLLaMA3: each frame behind its time; patches that hardly change from the frame before are left out.
    Family(
        model_type="video_llama_3",
        unquantized=("model.vision_model", "model.projector", "lm_head"),
        required=frozenset({"video_grid_thw", "video_merge_sizes", "video_compression_mask"}),
    ),
)

FAMILIES: dict[str, Family] = {family.model_type: family for family in RECORDS}
"""The records by the type in a checkpoint's configuration. Another type that takes videos gets a record of its own
from :func:`savi.models.generic.generic_family`, with a warning."""
