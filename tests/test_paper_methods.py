"""Every method, control and critic of the study runs, in small, from its own experiment file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from savi.cli import main
from savi.world.clips import training_clips
from savi.world.oracle import scene_of_clip
from savi.world.questions import queries
from savi.world.wording import MINIATURE

PAPER = Path(__file__).parent.parent / "experiments" / "paper"
SMALL = [
    "--data.clip_count=8",
    "--data.benchmark=null",
    "--data.labelled=null",
    "--model.base.nf4=false",
    "--model.prefix_cache.gib=0",
    "--trainer.max_epochs=1",
    "--trainer.enable_progress_bar=false",
]


def run(name: str, runs: Path, *more: str) -> list[dict[str, Any]]:
    """The run's pairs."""
    main(["fit", f"--config={PAPER / name}.yaml", f"--runs={runs}", *SMALL, *more])
    written = runs / name / "version_0" / "pairs" / "round_00.jsonl"
    pairs = [json.loads(line) for line in written.read_text().splitlines()]
    assert pairs
    return pairs


@pytest.mark.parametrize(
    "name",
    [
        *("sft", "control_random", "control_other_clip", "critic_text", "i_srt"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("control_shuffled", "critic_another")),
    ],
)
def test_the_experiment_runs(name: str, tmp_path: Path) -> None:
    pairs = run(name, tmp_path, "--data.clip_count=4")
    assert all(bool(pair["critique"]) == (name != "i_srt") for pair in pairs)


def test_the_judged_pairs_are_those_of_two_samples_some_of_them_turned(tmp_path: Path) -> None:
    sampled = {(pair["prompt"], pair["clip"]): pair for pair in run("control_samples", tmp_path)}
    turned = 0
    for pair in run("hound_dpo", tmp_path):
        twin = sampled[pair["prompt"], pair["clip"]]
        assert {pair["chosen"], pair["rejected"]} == {twin["chosen"], twin["rejected"]}
        turned += pair["chosen"] == twin["rejected"]
    assert 0 < turned < len(sampled)


def test_temporal_pairs_are_all_that_tpo_learns_from(tmp_path: Path) -> None:
    assert {pair["aspect"] for pair in run("tpo", tmp_path)} == {"temporal"}


def test_the_ceilings_critic_tells_the_truth(tmp_path: Path) -> None:
    pairs = run("critic_truth", tmp_path, f"--data.cache={tmp_path}")
    clips = {clip.id: clip for clip in training_clips(tmp_path / "world-0" / "train", 8, 0)}
    for pair in pairs:
        scene = scene_of_clip(clips[pair["clip"]])
        (query,) = [query for query in queries(scene) if query.text == pair["question"]]
        assert pair["critique"] == MINIATURE.criticism(query, query.answer, pair["rejected"])
