"""The training's batched, packed way of running the model computes what the classes compute."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import torch

from savi.video.decode import decode
from savi.world.clips import training_clips
from savi.world.scenes import make_scene, scene_seed
from tools.base_model.build import SIZES, build_model, build_processor, build_tokenizer
from tools.base_model.curriculum import Prior, exchanges, words
from tools.base_model.frames import prepare, shoot
from tools.base_model.packed_rows import GRID, VISUAL_TOKENS, Typesetter, patches, read, see

LESSON = exchanges(make_scene(3), Prior(0), Random(0))


@pytest.fixture(scope="module")
def processor() -> Any:
    return build_processor(build_tokenizer(words()))


@pytest.fixture(scope="module", params=SIZES)
def model(processor: Any, request: pytest.FixtureRequest) -> Any:
    return build_model(processor.tokenizer, 0, SIZES[request.param]).eval()


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The first training clip: as frames decoded from its file, and as training films it."""
    (clip,) = training_clips(tmp_path_factory.mktemp("clips"), 1, seed=0)
    return decode(clip.path), shoot(make_scene(scene_seed("train", 0, 0)))


def as_the_processor_does(processor: Any, frames: Any, text: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": text}]}]
    row = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    metadata = {"total_num_frames": 48, "fps": frames.fps, "frames_indices": list(frames.indices)}
    return processor(
        text=[row], videos=[frames.pixels.permute(0, 3, 1, 2)], video_metadata=[metadata], return_tensors="pt"
    )


def test_training_sees_the_very_pixels_of_the_files(processor: Any, clip: Any) -> None:
    frames, filmed = clip
    assert torch.equal(frames.pixels.permute(0, 3, 1, 2), filmed)
    inputs = as_the_processor_does(processor, frames, "describe")
    assert torch.equal(patches(processor, prepare(filmed, processor)[None])[0], inputs["pixel_values_videos"])
    assert tuple(inputs["video_grid_thw"][0].tolist()) == GRID


def test_tokens_and_positions_are_the_processors(processor: Any, model: Any, clip: Any) -> None:
    inputs = as_the_processor_does(processor, clip[0], LESSON[0].prompt)
    typesetter = Typesetter(model, processor)
    ids = inputs["input_ids"][0].tolist()
    assert typesetter.head + typesetter.prompt(LESSON[0].prompt) == ids
    positions, _ = model.model.get_rope_index(
        inputs["input_ids"],
        inputs["mm_token_type_ids"],
        video_grid_thw=inputs["video_grid_thw"],
        second_per_grid_ts=inputs["second_per_grid_ts"],
    )
    assert torch.equal(typesetter.positions[:, : len(ids)], positions[:, 0])


@torch.no_grad()
def test_the_tower_is_the_class(processor: Any, model: Any) -> None:
    pixels = torch.randn(2, VISUAL_TOKENS * 4, 1176)
    expected = model.model.visual(pixels.flatten(0, 1), grid_thw=torch.tensor([GRID, GRID])).pooler_output
    assert torch.allclose(see(model.model.visual, pixels).flatten(0, 1), expected, atol=1e-5)


@torch.no_grad()
def test_packed_texts_get_the_logits_of_rows_of_their_own(processor: Any, model: Any, clip: Any) -> None:
    typesetter, prepared = Typesetter(model, processor), prepare(clip[1], processor)[None]
    tokens = see(model.model.visual, patches(processor, prepared))
    page = typesetter.set([LESSON])
    packed = model.lm_head(read(model, tokens, page))[0]
    at = page.start
    for exchange in LESSON:
        inputs = as_the_processor_does(processor, clip[0], exchange.prompt)
        reply = torch.tensor([processor.tokenizer.encode(exchange.reply + "<|im_end|>")])
        prompt_length = inputs["input_ids"].shape[1] - page.start
        for name, more in (("input_ids", reply), ("attention_mask", 1 + 0 * reply), ("mm_token_type_ids", 0 * reply)):
            inputs[name] = torch.cat([inputs[name], more], dim=1)
        alone = model(**inputs).logits[0, page.start :]
        assert torch.allclose(packed[at : at + len(alone)], alone, atol=1e-4)
        learned = page.targets[0, at + prompt_length - 1 : at + len(alone) - 1]
        assert torch.equal(learned, reply[0])
        at += len(alone)
    assert int((page.targets >= 0).sum()) == sum(
        len(processor.tokenizer.encode(exchange.reply)) + 1 for exchange in LESSON
    )
