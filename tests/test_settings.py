"""Settings that no run can use: one line each, which names the whole key, before anything is loaded."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from savi.alignment.optim import OptimizerSettings
from savi.critique.filters import FilterSettings
from savi.errors import SaviError, SettingError, check_number
from savi.models.adapters import LoraSettings
from savi.models.prefix_cache import PrefixCacheSettings
from savi.objective.dpo import DPOSettings
from savi.training.datamodule import ClipDataModule
from savi.types import Sampling
from tests.test_cli import DEMO, complaint


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("model.chain.question.temperature=-1", "must be 0 or a finite number of at least 0.001, not -1.0"),
        ("model.chain.answer.temperature=1e-45", "must be 0 or a finite number of at least 0.001, not 1e-45"),
        ("model.chain.critique.top_p=0", "must be above 0 and at most 1, not 0.0"),
        ("model.chain.revision.max_new_tokens=0", "must be at least 1, not 0"),
        ("model.reply.top_p=1.5", "must be above 0 and at most 1, not 1.5"),
        ("model.lora.alpha=0", "must be above 0, not 0"),
        ("model.dpo.beta=0", "must be above 0, not 0.0"),
        ("model.filters.length_slack=-1", "must be at least 0, not -1"),
        ("model.optimizer.lr=0", "must be above 0, not 0.0"),
        ("model.optimizer.warmup_steps=-1", "must be at least 0, not -1"),
        ("model.prefix_cache.mib=-1", "must be at least 0, not -1.0"),
        ("model.prefix_cache.gib=-1", "must be at least 0, not -1.0"),
        ("data.clip_count=0", "must be at least 1, not 0"),
        ("data.benchmark_clips=0", "must be at least 1, not 0"),
        ("data.decode_timeout=0", "must be above 0 and at most 86400.0, not 0.0"),
        ("data.decode_timeout=1e12", "must be above 0 and at most 86400.0"),
        ("data.workers=-1", "must be at least 0, not -1"),
        ("data.clips=", "must name a folder"),
        ("model.optimizer.lr=1e300", "must be finite and at most 1e+30, not 1e+300"),
        ("threads=0", "must be at least 1, not 0"),
        ("seed_everything=-1", "must be at least 0 and at most 4294967295, not -1"),
    ],
)
def test_a_setting_that_no_run_can_use_is_one_line_with_its_whole_key(
    setting: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = complaint(["fit", "--config", str(DEMO), f"--runs={tmp_path}", f"--{setting}"], capsys)
    assert line.startswith(f"savi: {setting.partition('=')[0]} {said}")
    assert not any(tmp_path.iterdir())


def test_an_infinite_setting_of_a_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """YAML has infinities and NaN, which the command line's numbers haven't."""
    file = tmp_path / "mine.yaml"
    file.write_text(f"extends: {DEMO}\nmodel:\n  chain:\n    question: {{temperature: .nan}}\n")
    line = complaint(["fit", "--config", str(file), f"--runs={tmp_path}"], capsys)
    assert line == ("savi: model.chain.question.temperature must be 0 or a finite number of at least 0.001, not nan")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("settings", "name"),
    [
        (Sampling, "temperature"),
        (Sampling, "top_p"),
        (DPOSettings, "beta"),
        (DPOSettings, "label_smoothing"),
        (DPOSettings, "nll_weight"),
        (OptimizerSettings, "lr"),
        (OptimizerSettings, "weight_decay"),
        (OptimizerSettings, "clip_norm"),
        (FilterSettings, "least_logp"),
        (LoraSettings, "dropout"),
        (PrefixCacheSettings, "mib"),
        (PrefixCacheSettings, "gib"),
    ],
)
def test_no_setting_may_be_infinite_or_no_number(settings: Any, name: str, value: float) -> None:
    with pytest.raises(SettingError, match=rf"{name} must be .*, not {value}"):
        settings(**{name: value})


def test_the_time_limit_of_a_file_is_finite() -> None:
    with pytest.raises(SaviError, match=r"data\.decode_timeout must be above 0"):
        ClipDataModule(clip_count=1, decode_timeout=math.inf)


def test_the_bounds_themselves_are_allowed_where_they_are_said_to_be() -> None:
    assert Sampling(temperature=0.0).temperature == 0
    assert Sampling(temperature=1e-3, top_p=1.0, max_new_tokens=1).top_p == 1
    check_number("x", 1, least=1, most=1)
    for bounds in ({"above": 1}, {"below": 1}, {"least": 2}, {"most": 0}):
        with pytest.raises(SettingError, match="x must be"):
            check_number("x", 1, **bounds)


def test_an_infinity_is_allowed_where_it_turns_a_bound_off() -> None:
    assert FilterSettings(max_length_ratio=math.inf).max_length_ratio == math.inf
    check_number("x", math.inf, least=1, finite=False)
