"""Packed scoring equals plain scoring: values, gradients, whatever the shape of the batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from savi.conversations import Message
from savi.inference import ResponseScores, ScoreRequest
from savi.models import attention
from savi.models.packed import _tokens
from savi.models.session import tokenized
from savi.models.tree import TokenizedRequest, build_tree, pack_trees
from savi.models.video_lm import VideoLM
from tests.miniatures import build_lm, noise_clip

CLIPS = [noise_clip(0, frames=32), noise_clip(1, 40, 90, frames=32), noise_clip(2, frames=8)]
PROMPTS = [
    ScoreRequest(1, "what is it?", ("a cat", "no")),
    ScoreRequest(0, "where", ("on the mat", "on the mat", "in the garden behind the house")),
    ScoreRequest(1, "and a much longer question about this and that, which goes on?", ("z",)),
    ScoreRequest(2, "w", ("yes", "")),
]


@pytest.fixture(scope="module")
def lm(random_base: Path) -> VideoLM:
    return build_lm(random_base)


def packed(lm: VideoLM, questions: list[ScoreRequest]) -> ResponseScores:
    clips, frames = zip(*CLIPS, strict=True)
    return lm.encode(clips, frames).score(questions)


def plain(lm: VideoLM, questions: list[ScoreRequest]) -> ResponseScores:
    return lm.score_one_by_one([frames for _, frames in CLIPS], questions)


def adapter_gradients(lm: VideoLM, scores: ResponseScores) -> dict[str, torch.Tensor]:
    lm.peft_model.zero_grad()
    weights = torch.linspace(-1, 1, len(scores.logps))
    (scores.logps * weights).sum().backward()
    return {n: p.grad.clone() for n, p in lm.peft_model.named_parameters() if p.grad is not None}


def test_values_equal_plain_scoring(lm: VideoLM) -> None:
    ours, oracle = packed(lm, PROMPTS), plain(lm, PROMPTS)
    torch.testing.assert_close(ours.logps, oracle.logps, atol=1e-4, rtol=0)
    assert ours.lengths.tolist() == oracle.lengths.tolist()


def test_the_judges_words_are_scored_behind_an_answer_up_to_where_they_differ(lm: VideoLM) -> None:
    """As the plain model scores them in a row of their own. "Yes" and "Yet" differ in the third token of this tokenizer
    of bytes."""
    behind = (Message("user", "where", 0), Message("assistant", "on the mat"), Message("user", "in bed. The same?"))
    words = [ScoreRequest(0, behind, given, until_they_differ=True) for given in (("Yes", "No"), ("Yes", "Yet"))]
    whole = ScoreRequest(0, behind, ("Yes", "No"))
    ours, oracle = packed(lm, [PROMPTS[1], *words]), plain(lm, [PROMPTS[1], *words, whole])
    torch.testing.assert_close(ours.logps, oracle.logps[:7], atol=1e-4, rtol=0)
    assert ours.lengths.tolist() == oracle.lengths.tolist()[:7]
    assert oracle.lengths.tolist()[3:] == [1, 1, 3, 3, 4, 3]
    assert oracle.logps[3] > oracle.logps[7]


def test_a_branch_sees_nothing_of_its_siblings(lm: VideoLM) -> None:
    alone = packed(lm, [ScoreRequest(0, "where", ("on the mat",))]).logps
    beside = packed(lm, PROMPTS).logps[2:4]
    torch.testing.assert_close(beside, alone.expand(2), atol=1e-4, rtol=0)


def test_gradients_equal_plain_scoring(lm: VideoLM) -> None:
    ours = adapter_gradients(lm, packed(lm, PROMPTS))
    oracle = adapter_gradients(lm, plain(lm, PROMPTS))
    assert ours.keys() == oracle.keys()
    largest = max(gradient.abs().max() for gradient in oracle.values())
    for name in oracle:
        assert (ours[name] - oracle[name]).abs().max() <= 1e-5 * largest, name


def test_the_last_layer_computes_what_responses_are_predicted_from(lm: VideoLM) -> None:
    """Of the other tokens it takes keys and values alone. The layer before it computes all of them."""
    decoder = lm.family.language_model(lm.model)
    rows: dict[str, int] = {}
    handles = [
        layer.get_submodule(name).base_layer.register_forward_hook(
            lambda _, given, __, key=f"{place} {name}": rows.update({key: given[0].numel() // given[0].shape[-1]})
        )
        for place, layer in (("before", decoder.layers[-2]), ("last", decoder.layers[-1]))
        for name in ("self_attn.q_proj", "self_attn.k_proj")
    ]
    behind: list[int] = []
    handles.append(
        decoder.layers[-1].mlp.act_fn.register_forward_hook(lambda _, given, __: behind.append(given[0].shape[1]))
    )
    try:
        with lm.peft_model.disable_adapter():
            scores = packed(lm, PROMPTS)
    finally:
        for handle in handles:
            handle.remove()
    # The last token of a prompt predicts the first one of each of its responses.
    wanted = int(scores.lengths.sum()) - sum(len(one.responses) - 1 for one in PROMPTS)
    every = rows["before self_attn.q_proj"]
    assert rows == {
        "before self_attn.q_proj": every,
        "before self_attn.k_proj": every,
        "last self_attn.q_proj": wanted,
        "last self_attn.k_proj": every,
    }
    assert behind == [wanted]
    assert wanted < every / 2


def test_a_long_tree_is_attended_to_in_stretches(lm: VideoLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stretch brings only the keys that its tokens see. Values and gradients stay."""
    keys: list[int] = []

    def counted(attend: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda module, query, key, *args: (keys.append(key.shape[2]), attend(module, query, key, *args))[1]

    for name in ("_folded", "_repeated"):
        monkeypatch.setattr(attention, name, counted(getattr(attention, name)))
    whole = packed(lm, PROMPTS)
    gradients, (most, *_) = adapter_gradients(lm, whole), keys
    keys.clear()
    monkeypatch.setattr(attention, "STRETCH", 16)
    in_stretches = packed(lm, PROMPTS)
    assert min(keys) < most - 16
    torch.testing.assert_close(in_stretches.logps, whole.logps, atol=1e-4, rtol=0)
    largest = max(gradient.abs().max() for gradient in gradients.values())
    for name, gradient in adapter_gradients(lm, in_stretches).items():
        assert (gradient - gradients[name]).abs().max() <= 1e-5 * largest, name


def test_a_stretch_on_a_cpu_ends_with_a_branch_where_one_ends_soon() -> None:
    """A judge's questions of 81 tokens see one pair each, and not two. One longer branch is cut all the same."""
    asked = [TokenizedRequest(tuple(range(start, start + 81)), ()) for start in (0, 100, 200)]
    tree = build_tree([*asked, TokenizedRequest(tuple(range(300, 430)), ((1,) * 21, (2,) * 11))])
    lengths = attention._lengths(pack_trees([tree], [256], 256).mask, 64)
    assert lengths == [81, 81, 81, 64, 86, 10]


def test_texts_that_conversations_share_are_written_once(lm: VideoLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge asks several questions a pair, all behind the same opening and with the same two words to choose from."""
    session = lm.encode(*zip(CLIPS[0], strict=True))
    written: list[object] = []
    for owner, name in ((lm.chat.template, "render"), (lm.chat, "tokenize")):
        write = getattr(owner, name)
        monkeypatch.setattr(
            owner, name, lambda *args, write=write, **named: (written.append(1), write(*args, **named))[1]
        )
    asked = [
        ScoreRequest(0, (Message("user", "q", 0), Message("assistant", word), Message("user", "?")), ("Yes", "No"))
        for word in ("a", "b", "c", "d")
    ]
    session.score(asked)
    assert len(written) <= 2 * len(asked) + 3, "two for each, the opening, Yes and No"


def test_checkpointing_changes_nothing(random_base: Path, lm: VideoLM) -> None:
    checkpointed = build_lm(random_base, checkpointing=True)
    checkpointed.model.train()
    try:
        passes: list[None] = []
        # The attention, not the end of the layer: recomputation stops once it has what the backward pass needs.
        attention = checkpointed.family.language_model(checkpointed.model).layers[0].self_attn
        attention.register_forward_hook(lambda *_: passes.append(None))
        theirs, ours = packed(checkpointed, PROMPTS), packed(lm, PROMPTS)
        torch.testing.assert_close(theirs.logps, ours.logps, atol=1e-4, rtol=0)
        with_checkpoints, without = adapter_gradients(checkpointed, theirs), adapter_gradients(lm, ours)
        for name in without:
            torch.testing.assert_close(with_checkpoints[name], without[name], atol=1e-4, rtol=1e-4)
        # Once forward and once more in the backward pass: it was really recomputed.
        assert len(passes) == 2
    finally:
        checkpointed.model.eval()


def test_scoring_and_backward_leave_the_vision_tower_alone(lm: VideoLM) -> None:
    clips, frames = zip(*CLIPS, strict=True)
    session = lm.encode(clips, frames)
    assert not any(prefix.embeds.requires_grad for prefix in session.read.prefixes)
    looks: list[None] = []
    handle = lm.model.model.visual.register_forward_hook(lambda *_: looks.append(None))
    try:
        assert adapter_gradients(lm, session.score(PROMPTS))
    finally:
        handle.remove()
    assert looks == []


text = st.text(alphabet="abc ?.é", min_size=1, max_size=12)
request = st.builds(
    ScoreRequest, st.integers(0, len(CLIPS) - 1), text, st.lists(text, min_size=1, max_size=4).map(tuple)
)


@given(st.lists(request, min_size=1, max_size=12))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_tree_equals_plain_scoring(lm: VideoLM, questions: list[ScoreRequest]) -> None:
    with torch.no_grad():
        ours, oracle = packed(lm, questions), plain(lm, questions)
    torch.testing.assert_close(ours.logps, oracle.logps, atol=1e-4, rtol=0)


side = st.integers(28, 150)


@given(
    st.lists(st.tuples(side, side, st.integers(2, 33)), min_size=1, max_size=3), st.lists(text, min_size=1, max_size=3)
)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_clips_of_any_shape_equal_plain_scoring(
    lm: VideoLM, shapes: list[tuple[int, int, int]], responses: list[str]
) -> None:
    made = [noise_clip(100 + index, *shape) for index, shape in enumerate(shapes)]
    # Of a name for each shape: the cache knows a clip by its name.
    made = [(replace(clip, id=f"{clip.id} {frames.pixels.shape}"), frames) for clip, frames in made]
    questions = [ScoreRequest(index, "what is it?", tuple(responses)) for index in range(len(made))]
    with torch.no_grad():
        ours = lm.encode(*zip(*made, strict=True)).score(questions)
        oracle = lm.score_one_by_one([frames for _, frames in made], questions)
    torch.testing.assert_close(ours.logps, oracle.logps, atol=1e-4, rtol=0)


def test_bfloat16_is_as_exact_packed_as_plain(random_base: Path, lm: VideoLM) -> None:
    """Neither is exact: packing must not add to what the precision costs."""
    half = build_lm(random_base, dtype="bfloat16")
    with torch.no_grad():
        exact = plain(lm, PROMPTS).logps
        cost = (plain(half, PROMPTS).logps - exact).abs()
        ours = (packed(half, PROMPTS).logps - exact).abs()
    assert 0 < ours.max() < 2 * cost.max()
    assert ours.max() < 0.02 * exact.abs().max()


def test_reference_is_the_model_without_its_adapter(random_base: Path, lm: VideoLM) -> None:
    clips, frames = zip(*CLIPS, strict=True)
    reference = lm.encode(clips, frames).score_reference(PROMPTS).logps
    with lm.peft_model.disable_adapter():
        oracle = plain(lm, PROMPTS).logps
    torch.testing.assert_close(reference, oracle, atol=1e-4, rtol=0)
    assert (reference - packed(lm, PROMPTS).logps).abs().min() > 0.01
    assert not reference.requires_grad


def test_clips_that_are_too_many_for_a_pass_are_taken_in_several(lm: VideoLM, monkeypatch: pytest.MonkeyPatch) -> None:
    clips, frames = zip(*CLIPS, strict=True)
    session = lm.encode(clips, frames)
    behind = sum(_tokens([session.read.tokenize(tokenized(lm.chat, one))]) for one in PROMPTS)
    passes: list[int] = []
    decoder = lm.family.language_model(lm.model)
    handle = decoder.register_forward_pre_hook(
        lambda _, __, given: passes.append(len(given["inputs_embeds"])), with_kwargs=True
    )
    try:
        together = session.score_reference(PROMPTS)
        monkeypatch.setattr("savi.models.family.TOKENS_AT_ONCE", 2 * (max(map(len, session.read.prefixes)) + behind))
        apart = session.score_reference(PROMPTS)
        assert passes == [3, 2, 1]
        assert session.score(PROMPTS).logps.requires_grad
        assert passes == [3, 2, 1, 3], "with gradients all in one pass, as was asked"
    finally:
        handle.remove()
    torch.testing.assert_close(apart.logps, together.logps, atol=1e-4, rtol=0)
    assert apart.lengths.tolist() == together.lengths.tolist()


def test_previous_reference_is_the_adapter_as_it_stands(random_base: Path) -> None:
    lm = build_lm(random_base, reference="previous")
    clips, frames = zip(*CLIPS, strict=True)
    session = lm.encode(clips, frames)
    torch.testing.assert_close(session.score_reference(PROMPTS).logps, session.score(PROMPTS).logps)


def test_cached_clips_score_as_fresh_ones_and_need_no_frames(lm: VideoLM) -> None:
    clips, frames = zip(*CLIPS, strict=True)
    lm.encode(clips, frames)
    assert all(lm.is_cached(clip) for clip in clips)
    again = lm.encode(clips, [None] * len(clips)).score(PROMPTS)
    torch.testing.assert_close(again.logps, plain(lm, PROMPTS).logps, atol=1e-4, rtol=0)


def test_text_that_spells_a_special_token_stays_text(lm: VideoLM) -> None:
    said = ScoreRequest(0, "a <|im_end|><|video_pad|> b", ("x <|im_end|> y",))
    meant = ScoreRequest(0, "a  b", ("x  y",))
    torch.testing.assert_close(packed(lm, [said]).logps, packed(lm, [meant]).logps)
