"""Models that savi has no record of, or can't use: the generic path, or one line that says why not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf

from savi.inference import ScoreRequest
from savi.models.families import FAMILIES
from savi.models.load import BaseSettings, load_base, load_known, read_config
from savi.models.ways import Way
from savi.types import SaviError
from tests.miniatures import build_lm, noise_clip
from tools.tiny_models import build_qwen3_vl
from tools.tiny_models.glm4v import build_glm4v_moe
from tools.tiny_models.llava import VICUNA_TEMPLATE, llama_tokenizer
from tools.tiny_models.parts import decoder_config, write


def change_config(folder: Path, target: Path, part: str, **changes: Any) -> Path:
    """A copy of a checkpoint with other values in its config.json, in one part of it or ("") at its top."""
    shutil.copytree(folder, target)
    config = json.loads((target / "config.json").read_text())
    (config[part] if part else config).update(changes)
    (target / "config.json").write_text(json.dumps(config))
    return target


@pytest.mark.parametrize("model_type", ["qwen2", "llava", "clip"])
def test_text_and_image_models_are_refused_in_one_line(model_type: str, tmp_path: Path) -> None:
    hf.AutoConfig.for_model(model_type).save_pretrained(tmp_path)
    with pytest.raises(SaviError, match=f"'{model_type}', which takes no video .*smolvlm") as refusal:
        read_config(str(tmp_path))
    assert "\n" not in str(refusal.value)


def test_a_type_that_this_transformers_lacks_is_refused_in_one_line(random_base: Path, tmp_path: Path) -> None:
    future = change_config(random_base, tmp_path / "future", "", model_type="qwen9_vl")
    with pytest.raises(SaviError, match="qwen9_vl") as refusal:
        read_config(str(future))
    assert "\n" not in str(refusal.value)


def test_a_decoder_with_layers_of_another_kind_reads_its_clips_anew(random_base: Path, tmp_path: Path) -> None:
    chunked = ["full_attention", "chunked_attention"]
    folder = change_config(random_base, tmp_path / "chunked", "text_config", layer_types=chunked)
    way = load_known(BaseSettings(path=str(folder))).way
    assert way == Way("plain", "The decoder has layers of another kind (chunked_attention)")
    assert "plain" in way.line


@pytest.mark.parametrize("template", ["", "{{ messages[0]['content'][1]['text'] }}"])
def test_a_processor_without_a_place_for_a_video_is_refused(template: str, random_base: Path, tmp_path: Path) -> None:
    silent = tmp_path / "silent"
    shutil.copytree(random_base, silent)
    (silent / "chat_template.jinja").write_text(template)
    with pytest.raises(SaviError, match="chat template"):
        load_base(BaseSettings(path=str(silent)))


def test_an_unknown_family_gets_the_generic_path_and_a_warning(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="no family for 'video_llava'"):
        lm = build_lm(build_video_llava(tmp_path))
    clips, frames = zip(noise_clip(0), noise_clip(1, 40, 90), strict=True)
    questions = [ScoreRequest(1, "what is it?", ("a cat", "no")), ScoreRequest(0, "where", ("on the mat",))]
    ours, plain = lm.encode(clips, frames).score(questions).logps, lm.score_one_by_one(frames, questions).logps
    torch.testing.assert_close(ours, plain, atol=1e-4, rtol=0)
    assert lm.family.unquantized[-1] == "lm_head"
    assert "model.multi_modal_projector" in lm.family.unquantized
    assert lm.family.decoder == "model.language_model"


def test_a_type_whose_processor_alone_knows_videos_is_taken(tmp_path: Path) -> None:
    """GLM-4.5V: transformers lists no video processor for it."""
    with pytest.warns(UserWarning, match="no family for 'glm4v_moe'"):
        lm = build_lm(build_glm4v_moe(tmp_path))
    assert lm.way.name == "tree"
    clip, frames = noise_clip(0)
    questions = [ScoreRequest(0, "what is it?", ("a cat", "no")), ScoreRequest(0, "where", ("on the mat",))]
    ours, plain = lm.encode([clip], [frames]).score(questions).logps, lm.score_one_by_one([frames], questions).logps
    torch.testing.assert_close(ours, plain, atol=1e-4, rtol=0)


def test_an_unknown_family_whose_decoder_takes_more_reads_its_clips_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Qwen3-VL taken as unknown: without its own record, DeepStack's features would be lost silently."""
    monkeypatch.delitem(FAMILIES, "qwen3_vl")
    with pytest.warns(UserWarning, match="no family for 'qwen3_vl'"):
        lm = build_lm(build_qwen3_vl(tmp_path))
    assert lm.way.name == "plain"
    assert "takes deepstack_visual_embeds, visual_pos_masks too" in lm.way.line
    clip, frames = noise_clip(0)
    session = lm.encode([clip], [frames])
    assert not lm.is_cached(clip)
    scores = session.score([ScoreRequest(0, "what is it?", ("a cat", "no"))])
    scores.logps.sum().backward()
    adapter = [parameter for parameter in lm.peft_model.parameters() if parameter.requires_grad]
    assert all(parameter.grad.abs().max() > 0 for parameter in adapter)


def test_an_unknown_family_whose_shared_scores_differ_reads_its_clips_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial at the start finds what a look at the layers can't."""
    monkeypatch.setattr("savi.models.score.position_ids", lambda positions: positions[:, 0] * 2)
    with pytest.warns(UserWarning, match="no family"):
        lm = build_lm(build_video_llava(tmp_path))
    assert lm.way.name == "plain"
    assert "in a trial" in lm.way.line


def build_video_llava(folder: Path) -> Path:
    """A random Video-LLaVA, which savi has no record of."""
    tokenizer = llama_tokenizer()
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = hf.VideoLlavaConfig(
        text_config={"model_type": "llama", **decoder_config(tokenizer)},
        vision_config={"model_type": "clip_vision_model", "image_size": 56, "patch_size": 14, **vision},
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
    )
    size = {"size": {"shortest_edge": 56}, "crop_size": {"height": 56, "width": 56}}
    processor = hf.VideoLlavaProcessor(
        image_processor=hf.VideoLlavaImageProcessor(**size),
        video_processor=hf.VideoLlavaVideoProcessor(**size),
        tokenizer=tokenizer,
        chat_template=VICUNA_TEMPLATE,
    )
    return write(folder, lambda: hf.VideoLlavaForConditionalGeneration(config), processor, seed=0)


def test_a_folder_may_begin_with_a_tilde(random_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(random_base.parent))
    assert load_known(BaseSettings(path=f"~/{random_base.name}")).path == str(random_base)


def test_a_template_that_takes_one_turn_alone_still_scores(random_base: Path, tmp_path: Path) -> None:
    picky = tmp_path / "picky"
    shutil.copytree(random_base, picky)
    template = picky / "chat_template.jinja"
    refusal = "{% if messages | length > 1 %}{{ raise_exception('one turn, please') }}{% endif %}"
    template.write_text(refusal + template.read_text())
    assert build_lm(picky).chat.response_ids("left") == build_lm(random_base).chat.response_ids("left")
