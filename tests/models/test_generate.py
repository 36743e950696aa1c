"""Generation from kept prefixes: greedy as `generate` does it, scored as it was sampled, deaf to its neighbours."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from savi.models.cache import fill_cache
from savi.models.generate import Continuation, _draw, continue_branches
from savi.models.score import score_packed
from savi.models.tree import TokenisedQuestion
from savi.models.video_lm import VideoLM
from savi.types import Branch, Sampling
from tests.miniatures import build_lm, noise_clip

CLIPS = [noise_clip(0), noise_clip(1, 40, 90), noise_clip(2, 64, 64, frames=8)]
BRANCHES = [Branch(i % 3, "question " + "x" * i, seed=100 + i) for i in range(7)]


@pytest.fixture(scope="module")
def lm(random_base: Path) -> VideoLM:
    return build_lm(random_base)


def watch(lm: VideoLM, indices: list[int]):
    clips, frames = zip(*(CLIPS[i] for i in indices), strict=True)
    return lm.watch(clips, frames)


def test_greedy_text_equals_hugging_face_generate(lm: VideoLM) -> None:
    replies = lm.generate(watch(lm, [0, 1, 2]), BRANCHES, Sampling(temperature=0, max_new_tokens=16))
    banned = [[token] for token in lm._banned]
    for branch, reply in zip(BRANCHES, replies, strict=True):
        inputs = lm.family.video_inputs(lm.processor, lm._chat(branch.prompt), CLIPS[branch.clip][1])
        ids = lm.model.generate(**inputs, max_new_tokens=16, do_sample=False, bad_words_ids=banned)
        written = ids[0, inputs["input_ids"].shape[1] :]
        assert reply.text == lm.processor.tokenizer.decode(written, skip_special_tokens=True).strip()


def test_sampled_log_probabilities_equal_scored_ones(lm: VideoLM) -> None:
    """The trap: positions that differ between generation and scoring give other log-probabilities."""
    watched = watch(lm, [0, 1, 2])
    prompts = [lm._prompt_ids(branch.prompt, watched.prefixes[branch.clip]) for branch in BRANCHES]
    owners = [branch.clip for branch in BRANCHES]
    end = lm.processor.tokenizer.eos_token_id
    written = continue_branches(
        lm.model,
        lm.family,
        fill_cache(lm.model, lm.family, watched.prefixes),
        owners,
        prompts,
        seeds=range(7),
        sampling=Sampling(temperature=0.7, top_p=0.9, max_new_tokens=12),
        end_ids=frozenset({end}),
        banned_ids=torch.tensor(lm._banned),
    )
    for owner, prompt, row in zip(owners, prompts, written, strict=True):
        response = (*row.ids, end) if row.finished else row.ids
        question = TokenisedQuestion(prompt, (response,))
        scored = score_packed(lm.model, lm.family, [watched.prefixes[owner]], [[question]])
        assert scored.logps.item() == pytest.approx(row.logp, abs=1e-4)


def test_a_reply_hangs_on_its_seed_and_not_on_its_neighbours(lm: VideoLM) -> None:
    sampling = Sampling(temperature=1.0, max_new_tokens=12)
    together = lm.generate(watch(lm, [0, 1, 2]), BRANCHES, sampling)
    for branch, reply in zip(BRANCHES, together, strict=True):
        alone = lm.generate(watch(lm, [branch.clip]), [Branch(0, branch.prompt, branch.seed)], sampling)[0]
        assert alone.text == reply.text
    other = lm.generate(watch(lm, [0]), [Branch(0, BRANCHES[0].prompt, seed=1)], sampling)[0]
    assert other.text != together[0].text


branch = st.builds(Branch, st.integers(0, 2), st.text(alphabet="abc ?", max_size=40), st.integers(0, 10**6))


@given(st.lists(branch, min_size=1, max_size=13))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_batch_writes_what_each_of_its_branches_writes_alone(lm: VideoLM, branches: list[Branch]) -> None:
    """One branch beside twelve, clips without any, prompts of unlike lengths; every fourth token ends a reply."""
    watched = watch(lm, [0, 1, 2])
    cache = fill_cache(lm.model, lm.family, watched.prefixes)
    ends = frozenset(range(0, lm.model.get_output_embeddings().weight.shape[0], 4))

    def write(batch: list[Branch]) -> list[Continuation]:
        return continue_branches(
            lm.model,
            lm.family,
            cache,
            [branch.clip for branch in batch],
            [lm._prompt_ids(branch.prompt, watched.prefixes[branch.clip]) for branch in batch],
            [branch.seed for branch in batch],
            Sampling(temperature=1.0, max_new_tokens=8),
            ends,
            torch.tensor(lm._banned),
        )

    for branch, together in zip(branches, write(branches), strict=True):
        (alone,) = write([branch])
        assert (together.ids, together.finished) == (alone.ids, alone.finished)
        assert together.logp == pytest.approx(alone.logp, abs=1e-4)


def test_a_turn_leaves_the_prefixes_as_it_found_them(lm: VideoLM) -> None:
    cache = fill_cache(lm.model, lm.family, watch(lm, [0, 1, 2]).prefixes)
    before = [(layer.keys.clone(), layer.values.clone()) for layer in cache.cache.layers]
    prompts = [[5, 6, 7], [8], [9] * 300, [5]]  # more than a cache has room for
    sampling = Sampling(temperature=1.0, max_new_tokens=4)
    continue_branches(
        lm.model, lm.family, cache, [0, 1, 1, 2], prompts, range(4), sampling, frozenset(), torch.tensor(lm._banned)
    )
    cache.rewind()
    for layer, (keys, values) in zip(cache.cache.layers, before, strict=True):
        assert torch.equal(layer.keys, keys)
        assert torch.equal(layer.values, values)


def test_prefixes_that_are_too_many_for_a_pass_are_read_in_several(
    lm: VideoLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever their order: clips of one length are read together, the cache has them as they were given."""
    prefixes = watch(lm, [0, 2, 1, 0, 0]).prefixes
    together = fill_cache(lm.model, lm.family, prefixes)
    monkeypatch.setattr("savi.models.family.TOKENS_AT_ONCE", 1)
    apart = fill_cache(lm.model, lm.family, prefixes)
    for ours, theirs in zip(apart.cache.layers, together.cache.layers, strict=True):
        for index, prefix in enumerate(prefixes):
            torch.testing.assert_close(
                ours.keys[index, :, : len(prefix)], theirs.keys[index, :, : len(prefix)], atol=1e-4, rtol=0
            )


@pytest.mark.parametrize("checkpointing", [False, True])
def test_generation_in_training_mode_is_refused_before_any_pass(
    random_base: Path, monkeypatch: pytest.MonkeyPatch, checkpointing: bool
) -> None:
    """Dropout would be active, and some versions of transformers drop the cache under checkpointing."""
    ours = build_lm(random_base, checkpointing=checkpointing)
    unread, read = watch(ours, [0]), watch(ours, [0])
    ours.generate(read, BRANCHES[:1], Sampling(max_new_tokens=2))
    ours.model.train()

    def no_pass(*args: object, **kwargs: object) -> None:
        raise AssertionError("the decoder was called")

    monkeypatch.setattr(ours.family.language_model(ours.model), "forward", no_pass)
    for watched in (unread, read):
        with pytest.raises(RuntimeError, match="call eval"):
            ours.generate(watched, BRANCHES[:1], Sampling(max_new_tokens=2))


def test_special_tokens_are_never_sampled(lm: VideoLM) -> None:
    logits = torch.zeros(1000, lm.model.get_output_embeddings().weight.shape[0])
    logits[:, lm._banned] = 50.0
    uniforms = torch.rand(1000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    drawn = _draw(logits, uniforms, Sampling(temperature=1.0), torch.tensor(lm._banned))
    assert not set(drawn.tolist()) & set(lm._banned)
    assert lm.processor.tokenizer.eos_token_id not in lm._banned


def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().expand(40_000, -1)
    uniforms = torch.rand(40_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    none = torch.tensor([], dtype=torch.int64)
    shares = torch.bincount(_draw(logits, uniforms, Sampling(temperature=1.0), none), minlength=4) / 40_000
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.3, 0.15, 0.05]), atol=0.01, rtol=0)
    # The nucleus of 0.7 holds the first two tokens, renormalised: 5/8 and 3/8.
    nucleus = _draw(logits, uniforms, Sampling(temperature=1.0, top_p=0.7), none)
    shares = torch.bincount(nucleus, minlength=4) / 40_000
    torch.testing.assert_close(shares, torch.tensor([0.625, 0.375, 0.0, 0.0]), atol=0.01, rtol=0)
