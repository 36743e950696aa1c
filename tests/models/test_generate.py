"""Generation from encoded clips: greedy as `generate` does it, scored as it was sampled, deaf to its neighbours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from savi.inference import GenerateRequest
from savi.models.generate import Continuation, continue_branches, draw_tokens
from savi.models.kv_cache import fill_kv_cache
from savi.models.score import score_packed
from savi.models.session import VideoLMSession
from savi.models.tree import TokenizedRequest
from savi.models.video_lm import VideoLM
from savi.types import Sampling
from tests.miniatures import build_lm, noise_clip


class SortedSizes(TorchDispatchMode):
    """The shapes of what is sorted as long as the context lasts."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Size] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket is torch.ops.aten.sort:
            self.seen.append(args[0].shape)
        return func(*args, **(kwargs or {}))


CLIPS = [noise_clip(0), noise_clip(1, 40, 90), noise_clip(2, 64, 64, frames=4)]
ALWAYS = 10**9
REQUESTS = [GenerateRequest(i % 3, "question " + "x" * i, seed=100 + i) for i in range(7)]


@pytest.fixture(scope="module")
def lm(random_base: Path) -> VideoLM:
    return build_lm(random_base)


def encode(lm: VideoLM, indices: list[int]) -> VideoLMSession:
    clips, frames = zip(*(CLIPS[i] for i in indices), strict=True)
    return lm.encode(clips, frames)


def test_greedy_text_equals_hugging_face_generate(lm: VideoLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """In rows of the branches, as on a CPU, and in a row for each clip, as elsewhere."""
    ways = []
    for fewest in (-ALWAYS, ALWAYS):
        monkeypatch.setattr("savi.models.branch_rows.FEWEST_UNSEEN", fewest)
        ways.append(encode(lm, [0, 1, 2]).generate(REQUESTS, Sampling(temperature=0, max_new_tokens=16)))
    banned = [[token] for token in lm.chat.banned_ids]
    for request, in_rows, in_cells in zip(REQUESTS, *ways, strict=True):
        inputs = lm.family.video_inputs(lm.processor, lm.chat.text(request.prompt), CLIPS[request.clip][1])
        ids = lm.model.generate(**inputs, max_new_tokens=16, do_sample=False, bad_words_ids=banned)
        written = ids[0, inputs["input_ids"].shape[1] :]
        text = lm.processor.tokenizer.decode(written, skip_special_tokens=True).strip()
        assert in_rows.text == in_cells.text == text


def test_sampled_log_probabilities_equal_scored_ones(lm: VideoLM) -> None:
    """The trap: positions that differ between generation and scoring give other log-probabilities."""
    session = encode(lm, [0, 1, 2])
    prompts = [lm.chat.prompt_ids(request.prompt, session.read.prefixes[request.clip]) for request in REQUESTS]
    owners = [request.clip for request in REQUESTS]
    end = lm.processor.tokenizer.eos_token_id
    written = continue_branches(
        lm.model,
        lm.family,
        fill_kv_cache(lm.model, lm.family, session.read.prefixes),
        owners,
        prompts,
        seeds=range(7),
        sampling=Sampling(temperature=0.7, top_p=0.9, max_new_tokens=12),
        end_ids=frozenset({end}),
        banned_ids=torch.tensor(lm.chat.banned_ids),
    )
    for owner, prompt, row in zip(owners, prompts, written, strict=True):
        response = (*row.ids, end) if row.finished else row.ids
        question = TokenizedRequest(prompt, (response,))
        scored = score_packed(lm.model, lm.family, [session.read.prefixes[owner]], [[question]])
        assert scored.logps.item() == pytest.approx(row.logp, abs=1e-4)


def test_a_reply_depends_on_its_seed_and_not_on_its_neighbors(lm: VideoLM) -> None:
    sampling = Sampling(temperature=1.0, max_new_tokens=12)
    together = encode(lm, [0, 1, 2]).generate(REQUESTS, sampling)
    for request, reply in zip(REQUESTS, together, strict=True):
        alone = encode(lm, [request.clip]).generate([GenerateRequest(0, request.prompt, request.seed)], sampling)[0]
        assert alone.text == reply.text
    other = encode(lm, [0]).generate([GenerateRequest(0, REQUESTS[0].prompt, seed=1)], sampling)[0]
    assert other.text != together[0].text


request = st.builds(GenerateRequest, st.integers(0, 2), st.text(alphabet="abc ?", max_size=40), st.integers(0, 10**6))


@given(st.lists(request, min_size=1, max_size=13), st.sampled_from([-ALWAYS, ALWAYS]), st.sampled_from([0, 1]))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_batch_writes_what_each_of_its_requests_writes_alone(
    lm: VideoLM, requests: list[GenerateRequest], fewest: int, lag: int
) -> None:
    """One request with twelve others, clips without any, prompts of unlike lengths; every fourth token ends a reply.

    The batch is written in rows of its branches, or in a row for each clip. One request alone is written in cells. What
    a step has drawn is known at once, as on a CPU, or a step later, as on a GPU.
    """
    session = encode(lm, [0, 1, 2])
    cache = fill_kv_cache(lm.model, lm.family, session.read.prefixes)
    ends = frozenset(range(0, lm.model.get_output_embeddings().weight.shape[0], 4))

    def write(batch: list[GenerateRequest]) -> list[Continuation]:
        return continue_branches(
            lm.model,
            lm.family,
            cache,
            [request.clip for request in batch],
            [lm.chat.prompt_ids(request.prompt, session.read.prefixes[request.clip]) for request in batch],
            [request.seed for request in batch],
            Sampling(temperature=1.0, max_new_tokens=8),
            ends,
            torch.tensor(lm.chat.banned_ids),
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("savi.models.branch_rows.FEWEST_UNSEEN", fewest)
        patch.setattr("savi.models.generate.lag", lambda device: lag)
        written = write(requests)
    for request, together in zip(requests, written, strict=True):
        (alone,) = write([request])
        assert (together.ids, together.finished) == (alone.ids, alone.finished)
        assert together.logp == pytest.approx(alone.logp, abs=1e-4)


def test_a_turn_leaves_the_prefixes_as_it_found_them(lm: VideoLM) -> None:
    cache = fill_kv_cache(lm.model, lm.family, encode(lm, [0, 1, 2]).read.prefixes)
    before = [(layer.keys.clone(), layer.values.clone()) for layer in cache.cache.layers]
    prompts = [[5, 6, 7], [8], [9] * 300, [5]]  # more than a cache has room for
    sampling = Sampling(temperature=1.0, max_new_tokens=4)
    continue_branches(
        lm.model,
        lm.family,
        cache,
        [0, 1, 1, 2],
        prompts,
        range(4),
        sampling,
        frozenset(),
        torch.tensor(lm.chat.banned_ids),
    )
    cache.rewind()
    for layer, (keys, values) in zip(cache.cache.layers, before, strict=True):
        assert torch.equal(layer.keys, keys)
        assert torch.equal(layer.values, values)


def test_prefixes_that_are_too_many_for_a_pass_are_read_in_several(
    lm: VideoLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever their order: clips of one length are read together, the cache has them as they were given."""
    prefixes = encode(lm, [0, 2, 1, 0, 0]).read.prefixes
    together = fill_kv_cache(lm.model, lm.family, prefixes)
    monkeypatch.setattr("savi.models.family.TOKENS_AT_ONCE", 1)
    apart = fill_kv_cache(lm.model, lm.family, prefixes)
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
    unread, read = encode(ours, [0]), encode(ours, [0])
    read.generate(REQUESTS[:1], Sampling(max_new_tokens=2))
    ours.model.train()

    def no_pass(*args: object, **kwargs: object) -> None:
        raise AssertionError("the decoder was called")

    monkeypatch.setattr(ours.family.language_model(ours.model), "forward", no_pass)
    for session in (unread, read):
        with pytest.raises(RuntimeError, match="call eval"):
            session.generate(REQUESTS[:1], Sampling(max_new_tokens=2))


def test_special_tokens_are_never_sampled(lm: VideoLM) -> None:
    logits = torch.zeros(1000, lm.model.get_output_embeddings().weight.shape[0])
    logits[:, list(lm.chat.banned_ids)] = 50.0
    uniforms = torch.rand(1000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    drawn = draw_tokens(logits, uniforms, Sampling(temperature=1.0), torch.tensor(lm.chat.banned_ids))
    assert not set(drawn.tolist()) & set(lm.chat.banned_ids)
    assert lm.processor.tokenizer.eos_token_id not in lm.chat.banned_ids


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_best_tokens_draw_what_the_whole_vocabulary_draws(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Peaked rows, many equally probable tokens (in bfloat16), flat rows and a row of NaN, which need all tokens."""
    scales = torch.tensor([6.0, 3.0, 0.1]).repeat_interleave(300)[:, None]
    logits = (torch.randn(900, 300, generator=torch.Generator().manual_seed(0)) * scales).to(dtype).float()
    logits[-1] = torch.nan
    uniforms = torch.rand(900, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    sampling, banned = Sampling(temperature=0.8, top_p=0.9), torch.tensor([7])
    drawn = []
    for head in (300, 32):
        monkeypatch.setattr("savi.models.drawing.HEAD", head)
        with SortedSizes() as sizes:
            drawn.append(draw_tokens(logits, uniforms, sampling, banned))
    assert torch.equal(*drawn)
    # Nearly all of the peaked rows are drawn from their head, none of the flat ones.
    assert [columns for _, columns in sizes.seen] == [32, 32, 300]
    assert 300 <= sizes.seen[-1][0] < 600


def test_draws_follow_the_distribution() -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().expand(40_000, -1)
    uniforms = torch.rand(40_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    none = torch.tensor([], dtype=torch.int64)
    shares = torch.bincount(draw_tokens(logits, uniforms, Sampling(temperature=1.0), none), minlength=4) / 40_000
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.3, 0.15, 0.05]), atol=0.01, rtol=0)
    # The nucleus of 0.7 holds the first two tokens, renormalised: 5/8 and 3/8.
    nucleus = draw_tokens(logits, uniforms, Sampling(temperature=1.0, top_p=0.7), none)
    shares = torch.bincount(nucleus, minlength=4) / 40_000
    torch.testing.assert_close(shares, torch.tensor([0.625, 0.375, 0.0, 0.0]), atol=0.01, rtol=0)
