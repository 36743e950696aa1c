"""The cache of clips' prefixes: keys and values are held once while it is filled, and are the decoder's own."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from transformers import DynamicCache

from savi.models.family import ClipPrefix
from savi.models.generate import continue_branches
from savi.models.kv_cache import KVCache, cache_name, fill_kv_cache
from savi.models.score import position_ids
from savi.models.video_lm import VideoLM
from savi.types import Sampling
from tests.miniatures import build_lm

LENGTHS = (300, 310, 300, 320, 310, 300, 305, 320)


@pytest.fixture(scope="module")
def lm(random_base: Path) -> VideoLM:
    return build_lm(random_base)


def prefix(lm: VideoLM, length: int, seed: int) -> ClipPrefix:
    width = lm.model.config.get_text_config().hidden_size
    embeds = torch.randn(length, width, generator=torch.Generator().manual_seed(seed))
    return ClipPrefix(embeds, torch.arange(length).expand(3, -1), next_position=length)


def most_bytes(work: Callable[[], object]) -> int:
    """The most bytes that torch's allocator has given out at one time while it worked, above those before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as traced:
        kept = work()
    events = [event for event in traced.profiler.kineto_results.events() if event.name() == "[memory]"]
    del kept
    return max(accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())))


def bytes_of(cache: KVCache) -> int:
    return sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.cache.layers)


def test_keys_and_values_are_held_once_while_they_are_read(lm: VideoLM, monkeypatch: pytest.MonkeyPatch) -> None:
    """All clips' keys and values, and what one clip's pass takes; not the parts and their sum at one time."""
    monkeypatch.setattr("savi.models.family.TOKENS_AT_ONCE", 1)
    prefixes = [prefix(lm, length, seed) for seed, length in enumerate(LENGTHS * 8)]
    whole = bytes_of(fill_kv_cache(lm.model, lm.family, prefixes))
    one_pass = most_bytes(lambda: fill_kv_cache(lm.model, lm.family, prefixes[3:4]))
    peak = most_bytes(lambda: fill_kv_cache(lm.model, lm.family, prefixes))
    assert one_pass < whole / 2
    assert whole <= peak <= whole + one_pass


def test_every_clip_keeps_what_the_decoder_computes_of_it_alone_to_the_bit(
    lm: VideoLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("savi.models.family.TOKENS_AT_ONCE", 1)
    prefixes = [prefix(lm, length, seed) for seed, length in enumerate(LENGTHS)]
    filled = fill_kv_cache(lm.model, lm.family, prefixes)
    assert filled.lengths == LENGTHS
    decoder = lm.family.language_model(lm.model)
    for clip, one in enumerate(prefixes):
        alone = DynamicCache()
        with torch.no_grad():
            decoder(
                inputs_embeds=one.embeds[None],
                attention_mask=torch.zeros(1, 1, 0, len(one), dtype=torch.bool),
                position_ids=position_ids(one.positions[None]),
                use_cache=True,
                **{cache_name(decoder): alone},
            )
        for ours, theirs in zip(filled.cache.layers, alone.layers, strict=True):
            for kept, computed in ((ours.keys, theirs.keys), (ours.values, theirs.values)):
                assert torch.equal(kept[clip, :, : len(one)], computed[0])
                assert not kept[clip, :, len(one) :].any()


@pytest.mark.parametrize("owners", [list(range(16)), list(range(15)), list(range(8))])
def test_a_turn_holds_at_most_half_of_the_prefixes_again(lm: VideoLM, owners: list[int]) -> None:
    """Clips whose branches end leave the batch one after the other; a turn may have no branch of some clips."""
    prefixes = [prefix(lm, 1000, seed) for seed in range(16)]
    cache = fill_kv_cache(lm.model, lm.family, prefixes)
    whole = bytes_of(cache)
    ends = frozenset(range(0, lm.model.get_output_embeddings().weight.shape[0], 3))

    def write() -> object:
        return continue_branches(
            lm.model,
            lm.family,
            cache,
            owners,
            [[5, 6, 7]] * len(owners),
            range(len(owners)),
            Sampling(temperature=1.0, max_new_tokens=12),
            ends,
            torch.tensor(lm.chat.banned_ids),
        )

    write()  # the prefixes' own layers have their room now
    # Masks are a few percent of so narrow a model's keys and values.
    assert most_bytes(write) < 0.95 * whole
