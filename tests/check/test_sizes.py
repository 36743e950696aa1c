"""Computed sizes and hours: what is counted is what is held, and a turn lasts as long as its longest branch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml

from savi.check.sizes import CHAIN, QUESTIONS, SPREAD, TURNS, longest, size_of
from savi.models.kv_cache import fill_kv_cache
from savi.models.load import BaseSettings, load_known
from tests.miniatures import build_lm, noise_clip
from tools.tiny_models import MINIATURES

QLORA = Path(__file__).parents[2] / "src" / "savi" / "cli" / "experiments" / "qlora.yaml"


@pytest.mark.parametrize("model_type", ["qwen2_5_vl", "qwen3_vl", "smolvlm"])
def test_a_cache_and_its_prefixes_have_the_bytes_that_are_computed(model_type: str, tmp_path: Path) -> None:
    folder = MINIATURES[model_type](tmp_path / "base")
    lm = build_lm(folder)
    clips, frames = zip(noise_clip(0), noise_clip(1), strict=True)
    prefixes = lm.encode(clips, frames).read.prefixes
    cache = fill_kv_cache(lm.model, lm.family, prefixes)
    size = size_of(load_known(BaseSettings(path=str(folder))), cache.width)
    held = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.cache.layers)
    assert held == 2 * size.keys_and_values(2, cache.width)  # the miniature computes in 4 bytes
    features = sum(one.embeds.nbytes + (0 if one.deep is None else one.deep.nbytes) for one in prefixes)
    assert features == 2 * size.prefixes(2)


def test_recurrent_layers_have_states_in_place_of_keys(tmp_path: Path) -> None:
    folder = MINIATURES["qwen3_5"](tmp_path / "base")
    lm = build_lm(folder)
    clips, frames = zip(noise_clip(0), noise_clip(1), strict=True)
    cache = fill_kv_cache(lm.model, lm.family, lm.encode(clips, frames).read.prefixes)
    size = size_of(load_known(BaseSettings(path=str(folder))), cache.width)
    kept = [layer for layer in cache.cache.layers if layer.is_initialized]
    assert 0 < len(kept) < size.layers
    assert sum(layer.keys.nbytes + layer.values.nbytes for layer in kept) == 2 * size.keys_and_values(2, cache.width)
    # The miniature's columns have 4 bytes, and memories have them in every precision.
    held = sum(state.columns.nbytes // 2 + state.memory.nbytes for state in cache.states.values())
    assert held == 2 * size.states
    without = replace(size, states=0)
    assert size.writing(2) - without.writing(2) == 2 * size.states * (1 + QUESTIONS)


def test_the_mask_of_a_layer_with_windows_covers_the_prefix_too(tmp_path: Path) -> None:
    """A bool for each pair of tokens, and a number of two bytes."""
    sizes = {}
    for model_type in ("gemma4", "qwen2_5_vl"):
        known = load_known(BaseSettings(path=str(MINIATURES[model_type](tmp_path / model_type))))
        sizes[model_type] = size_of(known, tokens=1000)
    assert [size.windowed for size in sizes.values()] == [True, False]
    gemma = sizes["gemma4"]
    assert gemma.step(2) - replace(gemma, windowed=False).step(2) == 2 * 3 * 1000 * gemma.packed


def test_the_longest_of_a_turns_branches_is_that_of_sampled_lengths() -> None:
    generator = torch.Generator().manual_seed(0)
    lengths = (SPREAD * torch.randn(20_000, CHAIN * QUESTIONS, generator=generator)).exp()
    sampled = float(lengths.amax(1).mean() / lengths.mean())
    assert longest(100, 10**9, CHAIN * QUESTIONS) == pytest.approx(100 * sampled, rel=0.03)
    assert longest(100, 10**9, CHAIN * QUESTIONS) == pytest.approx(186, abs=1)


def test_a_reply_is_no_longer_than_the_experiments_let_it_be() -> None:
    chain = yaml.safe_load(QLORA.read_text())["model"]["chain"]
    limits = [chain[turn]["max_new_tokens"] for turn in ("question", "answer", "critique", "revision")]
    assert [most for _, most in TURNS] == limits
    assert [longest(average, most, CHAIN * QUESTIONS) for average, most in TURNS] == limits


def test_fewer_branches_have_a_shorter_longest_one() -> None:
    assert 100 < longest(100, 10**9, QUESTIONS) < longest(100, 10**9, CHAIN * QUESTIONS)
