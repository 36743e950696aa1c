"""Qwen2.5-VL: M-RoPE on three axes, visual tokens in one run between vision_start and vision_end."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers.video_utils import VideoMetadata

from savi.models.family import ClipPrefix
from savi.types import Frames


class Qwen25VL:
    model_type = "qwen2_5_vl"
    lora_targets = r".*language_model\..*\.(q_proj|k_proj|v_proj|o_proj|gate_proj|up_proj|down_proj)"
    unquantised: tuple[str, ...] = ("model.visual", "lm_head")

    def video_token(self, processor: Any) -> str:
        return processor.video_token

    def video_inputs(self, processor: Any, text: str, frames: Frames) -> dict[str, Tensor]:
        total = max(frames.indices[-1] + 1, round(frames.duration * frames.fps))
        metadata = VideoMetadata(total_num_frames=total, fps=frames.fps, frames_indices=list(frames.indices))
        inputs = processor(
            text=[text],
            videos=[frames.pixels.permute(0, 3, 1, 2)],
            video_metadata=[metadata],
            do_sample_frames=False,
            return_tensors="pt",
        )
        # Left out, the model computes other hidden states without a word.
        missing = {"mm_token_type_ids", "second_per_grid_ts", "video_grid_thw"} - set(inputs)
        if missing:
            raise RuntimeError(f"the processor returned no {sorted(missing)}: this transformers is not supported")
        return dict(inputs)

    def prefix(self, model: nn.Module, inputs: dict[str, Tensor]) -> ClipPrefix:
        core: Any = model.model
        ids = inputs["input_ids"]
        features = core.get_video_features(
            inputs["pixel_values_videos"], inputs["video_grid_thw"], return_dict=True
        ).pooler_output
        embeds = core.get_input_embeddings()(ids)
        is_video = (inputs["mm_token_type_ids"] == 2).unsqueeze(-1)
        embeds = embeds.masked_scatter(is_video, torch.cat(list(features)).to(embeds))
        # One text token more tells where the text goes on: the model's own rule, not a re-derivation of it.
        positions, _ = core.get_rope_index(
            torch.nn.functional.pad(ids, (0, 1)),
            mm_token_type_ids=torch.nn.functional.pad(inputs["mm_token_type_ids"], (0, 1)),
            video_grid_thw=inputs["video_grid_thw"],
            second_per_grid_ts=inputs["second_per_grid_ts"],
        )
        return ClipPrefix(embeds[0], positions[:, 0, :-1], int(positions[0, 0, -1]))

    def language_model(self, model: nn.Module) -> nn.Module:
        core: Any = model.model
        return core.language_model
