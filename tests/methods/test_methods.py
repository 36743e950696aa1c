"""Methods that an experiment names: savi's own, and the one of docs/methods.md, which is not part of savi."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from savi.cli import main
from savi.critique.filters import SAMPLES_DISAGREE
from savi.critique.own_filters import filter_by_own, names_of
from savi.errors import SaviError
from savi.methods import CRITICS, METHODS, SelfConsistency
from savi.methods.filters import Candidate, PairFilter
from savi.methods.samples import Sampled
from savi.record.dashboards import training_tables
from savi.training.self_critique import SelfCritique
from savi.types import Clip
from savi.view.overview import overview
from savi.view.pairs import Pairs
from savi.view.run import ViewedRun
from tests.test_cli import complaint

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "methods.md").read_text()
SMALL = [
    "--model.base.nf4=false",
    "--trainer.enable_progress_bar=false",
    "--data.clip_count=6",
    "--data.benchmark=null",
    "--trainer.max_epochs=2",
]
NAMES = ("pairs/round_00.jsonl", "pairs/round_01.jsonl", "traces/round_00.jsonl", "traces/round_01.jsonl")


def fit(runs: Path, *more: str, experiment: str = "demo") -> Path:
    main(["fit", f"--config={ROOT / 'experiments' / experiment}.yaml", f"--runs={runs}", *SMALL, *more])
    return runs / Path(experiment).name / "version_0"


def killed_and_resumed(folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str, experiment: str = "demo") -> Path:
    """A run that was killed while its second round was built, resumed: equal to an undisturbed one to the byte."""
    more = (*more, "--data.generation_batch_clips=2", "--data.micro_batch_clips=2")
    whole = fit(folder / "whole", *more, experiment=experiment)
    build = SelfCritique._build

    def killed(self: SelfCritique, builder: Any) -> None:
        if self.round == 1:
            next(iter(builder.build()))
            raise KeyboardInterrupt
        build(self, builder)

    with monkeypatch.context() as patch:
        patch.setattr(SelfCritique, "_build", killed)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            fit(folder / "killed", *more, experiment=experiment)
    resumed = fit(folder / "killed", *more, "--ckpt_path=last", experiment=experiment)
    for file in (*NAMES, "adapter/adapter_model.safetensors"):
        assert (resumed / file).read_bytes() == (whole / file).read_bytes(), file
    assert read(resumed / NAMES[0])
    return resumed


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The classes of the page, in modules of their own."""
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        assert len(code.splitlines()) <= 40
        (tmp_path / re.findall(r"^# (\w+\.py)", code)[0]).write_text(code)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("modules")
def test_the_pages_class_trains_resumes_and_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = ["--model.pairs=longest.Longest", "--model.pairs.samples=4"]
    run = killed_and_resumed(tmp_path, monkeypatch, *named)
    pairs = [pair for name in NAMES[:2] for pair in read(run / name)]
    assert pairs
    traces = [trace for line in read(run / NAMES[2]) for trace in line["traces"]]
    assert {len(trace["turns"]) for trace in traces if trace["outcome"] == "pair"} == {1 + 4}
    assert all(len(pair["chosen"]) >= len(pair["rejected"]) for pair in pairs)
    assert not (run / "readiness.json").exists()
    viewed = ViewedRun(run)
    assert dict(overview(viewed)["about"])["pairs by"] == "Longest(samples=4)"
    view = Pairs(run)
    shown = [view.document(viewed, "clip", [clip]) or {} for clip in range(6)]
    asked = [one for clip in shown for round in clip["rounds"] for one in round["questions"] if "pair" in one]
    assert len(asked) == len(pairs)
    assert {turn["name"] for one in asked for turn in one["turns"]} == {"question", "sample"}
    tables = {table.name: table.rows for round in (0, 1) for table in training_tables(run, round)}
    assert {row["clip"] for row in pairs} == {clip for name in tables if "/pairs/" in name for clip, _ in tables[name]}


@pytest.mark.usefixtures("modules")
def test_the_pages_critic_criticizes(tmp_path: Path) -> None:
    run = fit(tmp_path, "--model.pairs.critic=stern.Stern", "--trainer.max_epochs=1", "--model.pairs.critic.words=ask ")
    prompts = [
        turn["prompt"]
        for line in read(run / NAMES[2])
        for trace in line["traces"]
        for turn in trace["turns"]
        if turn["name"] == "critique"
    ]
    assert prompts
    assert "stern.Stern" in (run / "config.yaml").read_text()


@pytest.mark.usefixtures("modules")
def test_the_pages_loss_is_what_a_step_minimizes(tmp_path: Path) -> None:
    run = fit(tmp_path, "--model.loss=margin.Margin", "--model.loss.margin=50", "--trainer.max_epochs=1")
    with (run / "metrics.csv").open() as file:
        (step,) = [row for row in csv.DictReader(file) if row["loss"]]
    chosen, rejected = float(step["logps/chosen"]), float(step["logps/rejected"])
    assert float(step["loss"]) == pytest.approx(50 - (chosen - rejected), abs=1e-3)


LISTED = "--model.own_filters=[{class_path: listed.Listed, init_args: {words: [%s]}}]"


@pytest.mark.usefixtures("modules")
def test_the_pages_filter_is_counted_like_savis_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    run = fit(tmp_path / "runs", LISTED % "left", "--trainer.max_epochs=1", "--model.pairs=two_samples")
    traces = [trace for line in read(run / NAMES[2]) for trace in line["traces"]]
    taken = sum(trace["outcome"] == "listed word" for trace in traces)
    assert taken
    (entry,) = [entry for entry in json.loads((run / "results.json").read_text())["rounds"] if entry["round"] == 1]
    assert entry["filters"]["listed word"] == taken
    with (run / "metrics.csv").open() as file:
        assert {row["filters/listed_word"] for row in csv.DictReader(file)} == {"", str(float(taken))}
    assert f"listed word {taken}" in caplog.text
    pairs = read(run / NAMES[0])
    assert pairs
    assert not any("left" in f"{pair['chosen']} {pair['rejected']}".split() for pair in pairs)
    given = [f"--config={ROOT / 'experiments' / 'demo.yaml'}", f"--runs={tmp_path / 'runs'}", *SMALL]
    line = complaint(["fit", *given, "--model.pairs=two_samples", LISTED % "right", "--ckpt_path=last"], capsys)
    assert "model.own_filters" in line


class Fails(PairFilter):
    """A filter with a mistake."""

    reasons = ("red",)

    def reason(self, candidate: Candidate) -> str | None:
        raise ZeroDivisionError("by zero")


class Other(PairFilter):
    """A filter with a reason that it doesn't name."""

    reasons = ("red",)

    def reason(self, candidate: Candidate) -> str | None:
        return "blue"


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ((Fails(),), "Fails failed on clip a, question 'what?': ZeroDivisionError: by zero"),
        ((Other(),), "Other returned 'blue', which is none of its reasons"),
    ],
)
def test_a_filter_that_fails_is_one_line(filters: Sequence[PairFilter], said: str) -> None:
    candidate = Candidate(Clip("a", Path("a.mp4")), 0, "spatial", "what?", "this", "that", "", ())
    with pytest.raises(SaviError, match=re.escape(said)):
        filter_by_own(candidate, filters)


@pytest.mark.parametrize(
    "reasons", [(), "red", {"red"}, 5, ("",), ("two\nlines",), (SAMPLES_DISAGREE,), ("samples_disagree",), ("pair",)]
)
def test_reasons_that_could_not_be_counted_are_refused(reasons: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Other, "reasons", reasons)
    with pytest.raises(SaviError, match=r"Other\.reasons"):
        names_of([Other()])


@pytest.mark.parametrize("given", ["pathlib.Path", "nowhere.Nothing"])
def test_a_class_that_is_no_filter_is_one_line(given: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = f"--model.own_filters=[{{class_path: {given}}}]"
    assert "own_filters" in complaint(["fit", "--config=demo", f"--runs={tmp_path}", named], capsys)
    assert not any(tmp_path.iterdir())


def test_the_page_lists_savis_own_methods_and_critics() -> None:
    for name, kind in [*METHODS.items(), *CRITICS.items()]:
        (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}`")]
        assert f"| `{kind.__name__}` |" in row
        for experiment in re.findall(r"\| `([\w/]+)` \|$", row) if name in METHODS else []:
            assert (ROOT / "experiments" / f"{experiment}.yaml").is_file()


def test_a_killed_run_resumes_to_the_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed_and_resumed(tmp_path, monkeypatch, experiment="self_consistency")


def test_a_method_with_other_settings_does_not_resume(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(tmp_path, "--trainer.max_epochs=1", experiment="best_of_n")
    given = [f"--config={ROOT / 'experiments' / 'best_of_n.yaml'}", f"--runs={tmp_path}", *SMALL, "--ckpt_path=last"]
    line = complaint(["fit", *given, "--model.pairs.samples=3"], capsys)
    assert "model.pairs" in line


@pytest.mark.parametrize(
    "more",
    [["--data.readiness_clips=8"], ["--model.chain.revision.top_p=0.5"], ["--model.filters.cut_critiques=true"]],
)
def test_settings_of_the_chain_that_a_method_leaves_out_are_refused(
    more: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = complaint(["fit", "--config=demo", f"--runs={tmp_path}", "--model.pairs=BestOfN", *more], capsys)
    assert "has no effect with BestOfN" in line
    assert not any(tmp_path.iterdir())


@pytest.mark.usefixtures("modules")
def test_a_class_of_ones_own_says_what_has_no_effect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = ["--model.pairs=longest.Longest", "--model.chain.revision.top_p=0.5"]
    line = complaint(["fit", "--config=demo", f"--runs={tmp_path / 'runs'}", *named], capsys)
    assert "model.chain.revision.top_p has no effect with Longest: nobody revises" in line


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("nowhere.Nothing", "nowhere"),
        ("pathlib.Path", "pathlib.Path"),
        ("BestOfN --model.pairs.samples=1", "savi: model.pairs.init_args.samples must be at least 2, not 1"),
    ],
)
def test_a_class_that_is_no_method_is_one_line(
    given: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *rest = given.split()
    line = complaint(["fit", "--config=demo", f"--runs={tmp_path}", f"--model.pairs={first}", *rest], capsys)
    assert said in line
    assert not any(tmp_path.iterdir())


def test_the_majority_is_preferred_over_the_outlier() -> None:
    method = SelfConsistency(samples=5, majority=0.5)
    found = method._choose("what color is it ?", Sampled("?", ("red", "blue", "red", "red", "green"), ()))
    assert (found.chosen, found.rejected, found.filtered_by) == ("red", "blue", None)
    split = method._choose("what color is it ?", Sampled("?", ("red", "blue", "green", "red", "white"), ()))
    assert split.filtered_by == SAMPLES_DISAGREE
