"""The base model that ships in the package: an ordinary Hugging Face folder that speaks the world's words."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForImageTextToText,
    AutoProcessor,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2Tokenizer,
)

from savi.prompts.templates import WORLD
from savi.world import BASE
from savi.world.questions import queries
from savi.world.scenes import make_scene, scene_seed
from tools.base_model.curriculum import Exchange, Prior, captions, exchanges
from tools.base_model.measure import Asked, Speaker, chain
from tools.base_model.packed_rows import read


@pytest.fixture(scope="module")
def processor() -> Any:
    return AutoProcessor.from_pretrained(BASE, local_files_only=True)


@pytest.fixture(scope="module")
def model() -> Any:
    return AutoModelForImageTextToText.from_pretrained(BASE, local_files_only=True)


def test_the_classes_are_the_genuine_ones(model: Any, processor: Any) -> None:
    assert type(model) is Qwen2_5_VLForConditionalGeneration
    assert type(processor) is Qwen2_5_VLProcessor
    assert type(processor.tokenizer) is Qwen2Tokenizer
    assert sum(path.stat().st_size for path in BASE.iterdir()) < 8e6


def test_nothing_is_missing_from_the_weights() -> None:
    _, notes = AutoModelForImageTextToText.from_pretrained(BASE, local_files_only=True, output_loading_info=True)
    assert not any(notes[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))


def test_every_word_of_the_world_is_one_token(processor: Any) -> None:
    for seed in range(100):
        scene = make_scene(seed)
        for exchange in captions(scene) + exchanges(scene, Prior(seed), Random(seed)):
            for text in (exchange.prompt, exchange.reply):
                assert len(processor.tokenizer.encode(text)) == len(text.split())


@pytest.mark.parametrize("text", ["A dog, running: 42 km/h!", "Zażółć 日本語 🎬", "  tabs\tand\nlines "])
def test_any_text_comes_back_as_it_was(processor: Any, text: str) -> None:
    assert processor.tokenizer.decode(processor.tokenizer.encode(text)) == text


def test_the_chat_template_puts_the_clip_first(processor: Any) -> None:
    content = [{"type": "video"}, {"type": "text", "text": "describe"}]
    row = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    assert row == (
        "<|im_start|>user\n<|vision_start|><|video_pad|><|vision_end|>describe<|im_end|>\n<|im_start|>assistant\n"
    )


@torch.no_grad()
def test_it_goes_through_the_chain_in_well_formed_words(model: Any, processor: Any) -> None:
    scenes = [make_scene(scene_seed("dev", 1, index)) for index in range(6)]
    asked = [Asked(index, query) for index, scene in enumerate(scenes) for query in queries(scene)[::4]]
    for one, (answer, critique, revision) in zip(
        asked, chain(Speaker(model, processor, scenes), asked, 0), strict=True
    ):
        assert answer in one.query.values
        assert revision in one.query.values
        assert critique.endswith(("correct", "wrong"))


@torch.no_grad()
def test_the_preferred_option_has_the_highest_log_probability(model: Any, processor: Any) -> None:
    scene = make_scene(scene_seed("dev", 1, 0))
    speaker, query = Speaker(model, processor, [scene]), queries(scene)[0]
    prompt = WORLD.answer.format(question=query.text)
    scores = []
    for value in query.values:
        page = speaker.typesetter.set([[Exchange(prompt, value)]])
        logits = model.lm_head(read(model, speaker.tokens, page)[page.targets >= 0])
        scores.append(-torch.nn.functional.cross_entropy(logits, page.targets[page.targets >= 0], reduction="sum"))
    assert speaker.prefer(0, prompt, query.values) == int(torch.stack(scores).argmax())


def test_the_card_says_how_the_gap_was_made() -> None:
    card = (BASE / "README.md").read_text()
    assert "favorite answer" in card
    assert "python -m tools.base_model.teach --seed" in card
