"""Windows of attention along a branch's own path, and prefixes whose visual tokens see each other."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers as hf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from savi.inference import GenerateRequest, ScoreRequest
from savi.models.family import ClipPrefix
from savi.models.sharing import ResponseIds
from savi.models.tree import TokenizedRequest, build_tree, pack_trees
from savi.models.video_lm import VideoLM
from savi.models.windows import FULL, SLIDING, causal_spans, masks, spans_of, windows
from savi.types import Sampling
from tests.miniatures import build_lm, noise_clip
from tools.tiny_models import build_gemma4
from tools.tiny_models.gemma4 import build_gemma4_unified
from tools.tiny_models.parts import WIDE, WIDTH, decoder_config, qwen_tokenizer, write
from tools.tiny_models.qwen import CHAT_TEMPLATE, VISUAL_TOKENS, visual_ids

CLIPS = [noise_clip(0, frames=4), noise_clip(1, 40, 90, frames=7)]


def decoder_of(**config: Any) -> Any:
    return SimpleNamespace(config=SimpleNamespace(**config))


def test_a_window_is_a_distance_along_the_path_by_hand() -> None:
    """A clip of two tokens, the second question of two, a response of three: it sees the last three of its path."""
    tree = build_tree([TokenizedRequest((1,), ()), TokenizedRequest((2, 3), ((4, 5, 6),))])
    packed = pack_trees([tree], [2], width=2)
    prefix = ClipPrefix(torch.zeros(2, 1), torch.arange(2)[None], next_position=2)
    decoder = decoder_of(layer_types=[SLIDING, FULL, SLIDING], sliding_window=3)
    by_kind = masks(decoder, packed.mask, packed.places, None, [prefix])
    assert isinstance(by_kind, dict)
    assert torch.equal(by_kind[FULL], packed.mask)
    assert by_kind[SLIDING][0, 0].int().tolist() == [
        [1, 0, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0, 0],
        [1, 1, 0, 1, 0, 0, 0],
        [0, 1, 0, 1, 1, 0, 0],
        [0, 0, 0, 1, 1, 1, 0],
        [0, 0, 0, 0, 1, 1, 1],
    ]


def test_visual_tokens_see_each_other_by_the_models_own_mask() -> None:
    """Tokens 1 to 3 of a prefix of four are a frame; two more tokens follow in the row. A window of three."""
    mask = torch.tensor([[1, 0, 0, 0, 0, 0], [1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 0, 0], [0, 1, 1, 1, 0, 0]]).bool()
    spans = spans_of(mask)
    assert spans is not None
    assert spans.tolist() == [[0, 0, 0, 1], [0, 3, 3, 3]]
    causal = causal_spans(4, None, mask.device)
    prefix = ClipPrefix(torch.zeros(4, 1), torch.arange(4)[None], 4, spans=torch.stack([causal, spans]))
    frame = torch.tensor([[0, 0], [1, 1]])
    short = ClipPrefix(torch.zeros(2, 1), torch.arange(2)[None], 2, spans=torch.stack([causal[:, :2], frame]))
    decoder = decoder_of(layer_types=[SLIDING, FULL], sliding_window=3)
    no_branch = torch.zeros(2, 1, 0, 4, dtype=torch.bool)
    by_kind = masks(decoder, no_branch, torch.arange(4).expand(2, -1), None, [prefix, short])
    assert isinstance(by_kind, dict)
    assert torch.equal(by_kind[SLIDING][0, 0], mask[:, :4])
    assert by_kind[SLIDING][1, 0, :2].int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0]]
    assert by_kind[FULL].shape == (2, 1, 0, 4)  # the prefix is for the causal kernel


@pytest.mark.parametrize("seen", [[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 1, 1]])
def test_a_mask_that_is_no_run_of_a_prefixes_tokens_is_not_taken_for_one(seen: list[int]) -> None:
    assert spans_of(torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], seen]).bool()) is None


def test_a_configuration_without_kinds_has_one_window_for_all_layers() -> None:
    decoder = decoder_of(sliding_window=2)
    assert windows(decoder.config) == {FULL: 2}
    mask = masks(decoder, torch.ones(1, 1, 1, 4, dtype=torch.bool), torch.arange(4)[None], None)
    assert isinstance(mask, torch.Tensor)
    assert mask[0, 0].int().tolist() == [[0, 0, 1, 1]]


def check_equalities(lm: VideoLM, requests: list[ScoreRequest]) -> None:
    """Scores to 1e-4 and gradients to 1e-5 of the largest, shared and plain."""
    clips, frames = zip(*CLIPS, strict=True)
    found = []
    for scores in (lm.encode(clips, frames).score(requests), lm.score_one_by_one(frames, requests)):
        lm.peft_model.zero_grad()
        (scores.logps * torch.linspace(-1, 2, len(scores.logps))).sum().backward()
        gradients = {n: p.grad.clone() for n, p in lm.peft_model.named_parameters() if p.grad is not None}
        found.append((scores.logps.detach(), gradients))
    (ours, shared), (theirs, plain) = found
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
    largest = max(gradient.abs().max() for gradient in plain.values())
    for name, gradient in plain.items():
        assert (shared[name] - gradient).abs().max() <= 1e-5 * largest, name


@pytest.fixture(scope="module")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> VideoLM:
    """Windows of 8 tokens; frames have more."""
    return build_lm(build_gemma4(tmp_path_factory.mktemp("gemma4")))


text = st.text(alphabet="abc ?", max_size=60)
asked = st.builds(ScoreRequest, st.integers(0, 1), text, st.lists(text, min_size=1, max_size=3).map(tuple))


@given(st.lists(asked, min_size=1, max_size=4))
@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_tree_scores_and_trains_as_rows_of_their_own(gemma: VideoLM, requests: list[ScoreRequest]) -> None:
    """Prompts and responses from nothing to several windows."""
    check_equalities(gemma, requests)


@pytest.mark.parametrize(("folder", "way"), [("exaone", "tree"), ("unified", "tree"), ("lfm", "state")])
def test_a_type_without_a_record_shares_its_clips_under_windows(
    folder: str, way: str, request: pytest.FixtureRequest
) -> None:
    """Prompt and reply are longer than the windows. LFM has short convolutions, too."""
    lm = build_lm(request.getfixturevalue(folder))
    assert lm.way.name == way
    long = "a cat that sits on the mat and sleeps"
    check_equalities(lm, [ScoreRequest(1, "what is it? " + long, (long, "no")), ScoreRequest(0, "where", (long,))])
    clips, frames = zip(*CLIPS, strict=True)
    read = lm.encode(clips, frames).read
    asked = GenerateRequest(1, "what is it? " + long, seed=3)
    for sampling in (Sampling(temperature=0, max_new_tokens=40), Sampling(temperature=0.8, max_new_tokens=40)):
        (reply,) = read.generate([asked], sampling)
        response = (*reply.ids, lm.processor.tokenizer.eos_token_id) if reply.finished else reply.ids
        scored = read.score([ResponseIds(1, asked.prompt, (response,))]).logps.item()
        assert scored == pytest.approx(reply.logp, abs=1e-4)
        if sampling.temperature == 0:
            row = lm.family.video_inputs(lm.processor, lm.chat.text(asked.prompt), frames[1])
            banned = [[token] for token in lm.chat.banned_ids]
            ids = lm.model.generate(**row, max_new_tokens=40, do_sample=False, bad_words_ids=banned)
            assert tuple(ids[0, row["input_ids"].shape[1] :].tolist())[: len(reply.ids)] == reply.ids


def test_the_trial_at_the_start_finds_a_window_of_another_length(exaone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row is shorter than the windows of most checkpoints, so it is read with a short one."""
    wide = dict.fromkeys((FULL, SLIDING))
    monkeypatch.setattr("savi.models.windows.windows", lambda text: wide)
    lm = build_lm(exaone)
    assert lm.way.name == "plain"
    assert "in a trial" in lm.way.line
    assert lm.model.config.text_config.sliding_window == 16


def test_a_shared_clip_that_fails_in_the_trial_is_read_anew(exaone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise IndexError("no such layer")

    monkeypatch.setattr("savi.models.score.masks", fail)
    assert build_lm(exaone).way.reason == "A shared clip failed in a trial (no such layer)"


VISION = {"hidden_size": 32, "intermediate_size": 48, "num_key_value_heads": 2, "initializer_range": WIDE}


@pytest.fixture(scope="module")
def exaone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random EXAONE 4.5, which savi has no record of, with windows of 16 tokens in its first layer."""
    tokenizer = qwen_tokenizer(VISUAL_TOKENS)
    kinds = {"layer_types": [SLIDING, FULL], "sliding_window": 16, "sliding_window_pattern": 2}
    vision = {"depth": 2, "num_heads": 2, "out_hidden_size": WIDTH, "fullatt_block_indexes": [1]}
    config = hf.Exaone4_5_Config(
        text_config={"model_type": "exaone4", **decoder_config(tokenizer, **kinds)},
        vision_config={**VISION, **vision},
        **{name: visual_ids(tokenizer)[name] for name in ("image_token_id", "video_token_id")},
    )
    size = {"shortest_edge": 56 * 56, "longest_edge": 56 * 56}
    processor = hf.Exaone4_5_Processor(
        image_processor=hf.Qwen2VLImageProcessor(size=size),
        tokenizer=tokenizer,
        video_processor=hf.Qwen2VLVideoProcessor(size=size, do_sample_frames=False, cap_pixels_per_frame=False),
        chat_template=CHAT_TEMPLATE,
    )
    folder = tmp_path_factory.mktemp("exaone4_5")
    return write(folder, lambda: hf.Exaone4_5_ForConditionalGeneration(config), processor, seed=0)


@pytest.fixture(scope="module")
def unified(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Gemma 4 of a type that savi has no record of: its frames are seen whole by every layer."""
    if not hasattr(hf, "Gemma4UnifiedConfig"):
        pytest.skip("this transformers has no Gemma 4 without a vision tower")
    return build_gemma4_unified(tmp_path_factory.mktemp("gemma4_unified"))


@pytest.fixture(scope="module")
def lfm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random LFM3-VL, which savi has no record of: short convolutions, windows of 16 tokens, full attention."""
    if not hasattr(hf, "Lfm3VlConfig"):
        pytest.skip("this transformers has no LFM3-VL")
    tokenizer = qwen_tokenizer(VISUAL_TOKENS)
    kinds = {"num_hidden_layers": 4, "layer_types": ["conv", SLIDING, FULL, "conv"], "sliding_window": 16}
    text = decoder_config(tokenizer, **kinds, head_dim=16, conv_L_cache=3)
    del text["rope_parameters"]  # one for each kind of layer, as it has by itself
    config = hf.Lfm3VlConfig(
        text_config={"model_type": "lfm3", **text},
        vision_config={**VISION, "num_hidden_layers": 2, "num_attention_heads": 2, "layer_types": ["conv", FULL]},
        projector_hidden_size=WIDTH,
        **visual_ids(tokenizer),
    )
    size = {"shortest_edge": 32 * 64 * 64, "longest_edge": 32 * 64 * 64}
    processor = hf.Lfm3VlProcessor(
        image_processor=hf.Qwen2VLImageProcessor(size=size, patch_size=16),
        tokenizer=tokenizer,
        video_processor=hf.Qwen3VLVideoProcessor(size=size, do_sample_frames=False, cap_pixels_per_frame=False),
        chat_template=CHAT_TEMPLATE,
    )
    folder = tmp_path_factory.mktemp("lfm3_vl")
    return write(folder, lambda: hf.Lfm3VlForConditionalGeneration(config), processor, seed=0)
