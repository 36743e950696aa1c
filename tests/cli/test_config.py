"""Experiment files over the packaged defaults: with or without `extends`, by path, by name, or none at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from savi.cli import main
from savi.cli.config import DEFAULTS, merge_experiments
from savi.types import SaviError
from tests.quick_runs import QUICK

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def merged(folder: Path, *given: str) -> tuple[str, dict[str, Any]]:
    """The merged file's name and content."""
    target = folder / "merged"
    target.mkdir(exist_ok=True)
    command, option, path, *_ = merge_experiments(["fit", *given], target)
    assert (command, option) == ("fit", "--config")
    content: dict[str, Any] = yaml.safe_load(Path(path).read_text())
    return Path(path).stem, content


def test_the_demo_is_one_experiment_by_whatever_door(tmp_path: Path) -> None:
    by_path = merged(tmp_path, "--config", str(EXPERIMENTS / "demo.yaml"))
    assert by_path[0] == "demo"
    assert by_path[1]["model"]["prompts"]["preset"] == "world"
    assert by_path == merged(tmp_path, "--config=demo") == merged(tmp_path)


@pytest.mark.parametrize("head", ["", "extends: base.yaml\n", "extends: demo\n"])
def test_the_defaults_are_below_every_file(head: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(f"{head}data: {{frames: 5}}\n")
    name, content = merged(tmp_path, "--config", str(tmp_path / "mine.yaml"))
    defaults = yaml.safe_load(DEFAULTS.read_text())
    assert name == "mine"
    assert content["data"]["frames"] == 5
    assert content["data"]["pairs_per_step"] == defaults["data"]["pairs_per_step"]
    assert content["trainer"]["log_every_n_steps"] == 1
    assert content["model"]["prompts"]["preset"] == ("world" if "demo" in head else "videosavi-2")


def test_a_base_file_of_ones_own_counts(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("data: {frames: 7}\n")
    (tmp_path / "mine.yaml").write_text("extends: base.yaml\n")
    assert merged(tmp_path, "--config", str(tmp_path / "mine.yaml"))[1]["data"]["frames"] == 7


def test_a_name_that_is_no_experiment_is_refused_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(SaviError, match=r"--config domo: No such file .*: demo"):
        merge_experiments(["fit", "--config", "domo"], tmp_path)


def test_a_run_whose_file_extends_nothing_builds_pairs_in_every_round(tmp_path: Path) -> None:
    """Lightning's own defaults would build them once, and measure the base on a part of the questions."""
    demo = yaml.safe_load((DEFAULTS.parent / "experiments" / "demo.yaml").read_text())
    data = {"clips": "world", "clip_count": 4, "benchmark_clips": 4, "generation_batch_clips": 1}
    (tmp_path / "mine.yaml").write_text(json.dumps({"model": demo["model"], "data": data}))
    given = [f"--config={tmp_path / 'mine.yaml'}", f"--runs={tmp_path}", "--trainer.max_epochs=2", "--threads=1"]
    main(["fit", *QUICK, *given])
    run = tmp_path / "mine" / "version_0"
    pairs = [path.read_text() for path in sorted((run / "pairs").glob("*.jsonl"))]
    assert len(pairs) == 2
    assert pairs[0] != pairs[1]
    rounds = json.loads((run / "results.json").read_text())["rounds"]
    assert [entry["pairs"] for entry in rounds[1:]] == [len(text.splitlines()) for text in pairs]
    items = [len(path.read_text().splitlines()) for path in sorted(run.glob("benchmarks/*/world.jsonl"))]
    assert items[0] == items[1] == items[2] > 2 * 3  # Lightning's sanity check has two batches, of three questions


def test_a_file_may_extend_several_the_later_ones_win(tmp_path: Path) -> None:
    for name, text in (("a", "x: 1\ny: 1"), ("b", "y: 2"), ("c", "extends: [a.yaml, b.yaml]\nz: 3")):
        (tmp_path / f"{name}.yaml").write_text(text)
    (tmp_path / "merged").mkdir()
    _, _, merged, *_ = merge_experiments(["fit", "--config", str(tmp_path / "c.yaml")], tmp_path / "merged")
    content = yaml.safe_load(Path(merged).read_text())
    assert (content["x"], content["y"], content["z"]) == (1, 2, 3)
