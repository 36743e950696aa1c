"""experiments/natural.yaml: two clips of it, on the base that is put together as `make train EXP=natural` does."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from savi.cli import main
from savi.prompts.critiques import read_verdict
from tools.natural_base.assemble import assemble
from tools.natural_base.build import SAMPLED
from tools.natural_base.lessons import PROMPTS

ROOT = Path(__file__).parent.parent
EXPERIMENT = ROOT / "experiments" / "natural.yaml"


def test_it_speaks_to_the_base_as_it_was_taught() -> None:
    settings = yaml.safe_load(EXPERIMENT.read_text())
    taught = ("spatial_question", "temporal_question", "answer", "critique", "revision")
    # The base was not taught to judge whether two replies mean the same.
    expected = {name: getattr(PROMPTS, name) for name in taught} | {"same_meaning": ""}
    assert settings["model"]["prompts"]["texts"] == expected
    assert settings["data"]["frames"] == SAMPLED


def test_two_clips_of_it(tmp_path: Path) -> None:
    assemble(ROOT / "tools" / "natural_base" / "taught.safetensors", tmp_path / "base")
    main(
        [
            *("fit", f"--config={EXPERIMENT}", f"--model.base.path={tmp_path / 'base'}", f"--runs={tmp_path}"),
            *("--data.clip_count=2", "--data.benchmark_clips=1", "--data.readiness_clips=1", "--trainer.max_epochs=1"),
            *("--model.chain.questions_per_aspect=1", "--model.chain.question_replies=1", "--threads=1"),
        ]
    )
    run = tmp_path / "natural" / "version_0"
    traces = [trace for line in (run / "traces" / "round_00.jsonl").open() for trace in json.loads(line)["traces"]]
    assert len(traces) == 4
    turns = [turn for trace in traces for turn in trace["turns"]]
    assert all(turn["finished"] for turn in turns)
    critiques = [turn["reply"] for turn in turns if turn["name"] == "critique"]
    assert critiques
    assert None not in map(read_verdict, critiques)
    world = json.loads((run / "results.json").read_text())["rounds"][-1]["benchmarks"]["world"]
    assert (world["items"], world["malformed"]) == (3, 0.0)
