"""The checks at the start of a run: one line where all is well, and one that ends the run where a model is wrong."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

from savi.cli import main
from savi.inference import ResponseScores
from savi.methods import VideoSAVi
from savi.methods.critics import OtherClip
from savi.models.packed import PackedClips
from savi.models.self_checks import compare, start_checks
from savi.models.sharing import ResponseIds
from savi.training.start_checks import check_readiness_clips
from savi.types import Clip, SaviError
from tests.miniatures import build_lm
from tests.models.stand_ins import stand_in

PROMPT_FIRST = (
    "{% for m in messages %}{{ m['content'][1]['text'] }}<|vision_start|><|video_pad|><|vision_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def fit(base: Path | str, runs: Path, *more: str) -> None:
    small = ["--data.clip_count=1", "--data.benchmark=null", "--data.readiness_clips=1", "--trainer.max_epochs=1"]
    main(["fit", f"--runs={runs}", f"--model.base.path={base}", "--model.base.nf4=false", *small, *more])


def test_a_model_whose_prompts_are_wrong_ends_the_run_before_it_writes_anything(
    random_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder = stand_in(random_base, tmp_path / "model", PROMPT_FIRST)
    with pytest.raises(SystemExit) as stop:
        fit(folder, tmp_path / "runs")
    assert stop.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("savi:")]
    assert "prompt ids: what comes before the clip depends on the prompt; compare the folder" in line
    assert not list((tmp_path / "runs").rglob("config.yaml"))
    with caplog.at_level(logging.INFO), pytest.raises(SystemExit):
        fit(folder, tmp_path / "runs", "--force")  # a random model makes no pair
    assert [m for m in caplog.messages if m.startswith("checked")] == [
        "checked: ✓ end of a reply, ✗ prompt ids, ✓ sampled tokens"
    ]


def test_readiness_of_a_critic_that_needs_other_clips_leaves_none_alone() -> None:
    """Every question about such a clip would be called malformed."""
    for method, sample in ((VideoSAVi(OtherClip()), 8), (VideoSAVi(OtherClip()), 6), (VideoSAVi(), 9)):
        check_readiness_clips(method, sample, 4)
    for sample, instead in ((1, 0), (9, 8)):
        with pytest.raises(SaviError, match=f"^data.readiness_clips: of {sample} .* alone.*set it to {instead}$"):
            check_readiness_clips(VideoSAVi(OtherClip()), sample, 4)


def test_a_hopeless_run_ends_with_its_sample_and_builds_no_round(
    random_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = [f"--model.chain.{turn}.max_new_tokens=2" for turn in ("question", "answer", "critique", "revision")]
    with pytest.raises(SystemExit) as stop:
        fit(random_base, tmp_path / "runs", "--data.clip_count=8", "--data.readiness_clips=6", *short)
    assert stop.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("savi:")]
    assert "no pair can be expected" in line
    assert "model.chain.question.max_new_tokens" in line
    assert "--force" in line
    (traces,) = (tmp_path / "runs").rglob("traces/round_00.jsonl")
    assert traces.read_bytes() == b"", "no clip of the round was asked about"


def test_tokens_that_are_scored_otherwise_than_sampled_are_found(
    random_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = build_lm(random_base)
    lm.peft_model.eval()
    assert [finding.passed for finding in start_checks(lm)] == [True, None, True, True]
    assert not lm.is_cached(Clip("noise", Path("noise")))
    score = PackedClips.score

    def shifted(clips: PackedClips, requests: list[ResponseIds]) -> ResponseScores:
        scores = score(clips, requests)
        return ResponseScores(scores.logps - 0.01 * scores.lengths, scores.lengths)

    monkeypatch.setattr(PackedClips, "score", shifted)
    (*_, sampled) = start_checks(lm)
    assert sampled.passed is False
    assert "report it" in sampled.remedy


def test_a_model_that_is_sure_of_its_reply_is_not_found_wrong_for_a_rounding_error() -> None:
    ours, theirs = torch.tensor([-0.02]), torch.tensor([-0.03])
    assert compare("sampled tokens", "scores", ours, theirs, 12, torch.bfloat16).passed
    assert not compare("sampled tokens", "scores", ours, theirs, 12, torch.float32).passed
    assert not compare("sampled tokens", "scores", ours, torch.tensor([float("nan")]), 12, torch.bfloat16).passed
