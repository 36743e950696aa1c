"""Settings that would change nothing are refused in one line, and what others may build on is not."""

from __future__ import annotations

from typing import Any

import pytest

from savi.cli.flat import flat
from savi.cli.no_effect import check_effects, check_set
from savi.errors import SaviError

SAMPLE = {"model": {"pairs": {"class_path": "savi.methods.TwoSamples"}}}
FILES = {"model": {"pairs": {"class_path": "savi.methods.FromFiles"}}}
TRUTH = {"model": {"pairs": {"init_args": {"critic": {"class_path": "savi.methods.critics.Truth"}}}}}
NOTHING_KEPT = {"model": {"prefix_cache": {"gib": 0}}}
WORLD = {"model": {"prompts": {"preset": "world"}}}


@pytest.mark.parametrize(
    ("files", "options", "named"),
    [
        (SAMPLE, ["--data.readiness_clips", "8"], "data.readiness_clips has no effect with TwoSamples"),
        (SAMPLE, ["--data.readiness_clips=32"], "there is no readiness check"),
        (SAMPLE, ["--model.chain.revision.temperature", "1.0"], "nobody revises"),
        (SAMPLE, ["--model.filters.answer_approved", "false"], "nobody criticizes"),
        ({**SAMPLE, "data": {"readiness_clips": 8}}, [], "data.readiness_clips has no effect"),
        ({}, ["--model.pairs.critic=savi.methods.critics.Truth", "--data.readiness_clips=8"], "no effect with Truth"),
        (TRUTH, ["--data.labelled", "questions.json"], "data.labelled has no effect"),
        (
            {"model": {"loss": {"class_path": "savi.objective.losses.SFT"}}},
            ["--model.dpo.beta=2"],
            "no effect with SFT",
        ),
        ({}, ["--model.loss=my.Loss", "--model.dpo.beta=2"], "no effect with Loss"),
        ({}, ["--model.dpo.loss", "sft"], "--model.loss sft"),
        (SAMPLE, ["--model.prompts.texts.critique", "{question} {answer}"], "nobody criticizes"),
        (TRUTH, ["--model.chain.critique.temperature", "1"], "the truth isn't sampled"),
        (WORLD, ["--model.filters.same_meaning", "model"], "has no question for the judge"),
        (FILES, [], "model.pairs: FromFiles takes the pairs of data.pairs"),
        (SAMPLE, ["--data.pairs=pairs.jsonl"], "model.pairs.class_path has no effect with data.pairs"),
        (FILES, ["--data.pairs=pairs.jsonl", "--model.pairs.critic=my.Critic"], "the pairs are there already"),
        (NOTHING_KEPT, ["--model.prefix_cache.folder=kept"], "model.prefix_cache.gib=0, which keeps nothing"),
        ({}, ["--model.cache=/tmp"], "model.cache is given as data.cache"),
        ({"model": {"max_pixels": 5}}, [], "model.max_pixels is given as data.max_pixels"),
        ({"data": {"frame_cache": {"gib": 0, "folder": "kept"}}}, [], "data.frame_cache.folder has no effect"),
        ({}, ["--model.prompts.preset=videosavi-1", "--model.filters.same_meaning=model"], "videosavi-1"),
    ],
)
def test_a_setting_without_an_effect_is_refused(files: dict[str, Any], options: list[str], named: str) -> None:
    with pytest.raises(SaviError, match=named):
        check_effects(files, options)


@pytest.mark.parametrize(
    ("files", "options"),
    [
        (SAMPLE, []),
        (SAMPLE, ["--force"]),  # the checks of the model
        (FILES, ["--data.pairs=pairs.jsonl", "--model.loss=my.Loss"]),
        ({}, ["--data.pairs=pairs.jsonl", "--model.pairs=savi.methods.FromFiles"]),
        ({**SAMPLE, "data": {"readiness_clips": 32}}, []),
        ({"model": {**SAMPLE["model"], "chain": {"revision": {"temperature": 0.0}}}}, []),
        ({**WORLD, "model": {**WORLD["model"], "filters": {"same_meaning": "model"}}}, []),
        (WORLD, ["--model.filters.same_meaning", "content"]),
        (NOTHING_KEPT, ["--model.prefix_cache.folder=kept", "--model.prefix_cache.gib=1"]),
        ({"data": {"frame_cache": {"folder": "kept"}}}, ["--data.frame_cache.gib=0"]),
        (WORLD, ["--model.filters.same_meaning=model", "--model.prompts.texts.same_meaning", "same as {other}?"]),
        ({}, ["--data.readiness_clips", "8", "--force", "--model.filters.same_meaning=model"]),
        (TRUTH, ["--model.chain.revision.temperature", "1"]),
        (SAMPLE, ["--model.pairs=null", "--model.chain.revision.temperature=1"]),
        ({"model": {"loss": {"class_path": "savi.objective.losses.SFT"}}}, ["--model.loss=null", "--model.dpo.beta=2"]),
        ({**TRUTH, "data": {"held_out": 0.1}}, ["--data.labelled", "questions.json"]),  # they give an accuracy
    ],
)
def test_defaults_and_what_others_build_on_are_taken(files: dict[str, Any], options: list[str]) -> None:
    check_effects(files, options)
    assert dict(flat(files)) or options


@pytest.mark.parametrize(
    ("command", "other"), [("fit", "test_set"), ("validate", "test_set"), ("test", "benchmark_set")]
)
def test_the_held_out_set_of_another_command_is_refused(command: str, other: str) -> None:
    with pytest.raises(SaviError, match=f"data.{other} has no effect with savi {command}"):
        check_set(command, [f"--data.{other}=forms"])
    own = {"test_set": "benchmark_set", "benchmark_set": "test_set"}[other]
    check_set(command, [f"--data.{own}=forms"])
