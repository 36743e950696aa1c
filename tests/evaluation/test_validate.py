"""Whole evaluations: accuracies counted apart from savi, a kill in the middle, one line for every mistake."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from savi.cli import main
from savi.evaluation.answers import AnswerLog
from savi.evaluation.benchmarks.registry import BENCHMARKS
from savi.evaluation.tables import latex, markdown
from tests.quick_runs import QUICK

DEMO = Path(__file__).parents[2] / "experiments" / "demo.yaml"
EVAL = DEMO.parent / "eval"
NAMES = tuple(name for name, benchmark in BENCHMARKS.items() if not benchmark.rendered)


def arguments(
    runs: Path, root: Path, *more: str, names: tuple[str, ...] = NAMES, command: str = "validate"
) -> list[str]:
    configs = [f"--config={EVAL / name}.yaml" for name in names]
    roots = [f"--data.benchmark.{name}.root={root / name}" for name in names]
    short = ["--model.base.nf4=false", *(f"--data.benchmark.{name}.max_new_tokens=6" for name in names)]
    quiet = ["--name=demo", f"--runs={runs}", "--trainer.enable_progress_bar=false", "--data.micro_batch_clips=4"]
    replies = "--data.benchmark_scorer=reply"  # the demo's own choice is the likelihood of options
    return [command, f"--config={DEMO}", *configs, *roots, *short, *quiet, replies, *more]


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Path:
    """The demo's base, evaluated on all samples. Folder of the run."""
    runs = tmp_path_factory.mktemp("runs")
    main(arguments(runs, samples))
    return runs / "demo" / "base"


@pytest.mark.parametrize("name", NAMES)
def test_an_accuracy_is_what_counting_the_rows_gives(name: str, evaluation: Path, samples: Path) -> None:
    (entry,) = json.loads((evaluation / "results.json").read_text())["rounds"]
    summary = entry["benchmarks"][name]
    scored = rows(evaluation / "benchmarks", name)
    assert len(scored) == summary["items"] >= 9
    right: dict[str, list[bool]] = {}
    for row in scored:
        answer = row["answer"][0] if row["task"] == "multi-choice" else row["answer"]
        correct = answer == (row["drawn"] if "drawn" in row else row["pred"])
        assert row["correct"] == correct
        if row.get("counts", True):
            right.setdefault(row["task"], []).append(correct)
    shares = {task: sum(outcomes) / len(outcomes) for task, outcomes in right.items()}
    outcomes = [outcome for task in right.values() for outcome in task]
    by_tasks = name in ("mvbench", "tempcompass", "mlvu")
    mean = sum(shares.values()) / len(shares) if by_tasks else sum(outcomes) / len(outcomes)
    assert summary["by_task"] == pytest.approx(shares)
    assert summary["accuracy"] == pytest.approx(mean)
    assert summary["fallbacks"] == sum(row["fallback"] for row in scored)


def test_the_rows_are_what_savi_score_takes_and_gives(evaluation: Path, tmp_path: Path) -> None:
    for name in NAMES:
        path = evaluation / "benchmarks" / f"{name}.jsonl"
        main(["score", str(path), "--output", str(tmp_path / "again.jsonl")])
        again = [json.loads(line) for line in (tmp_path / "again.jsonl").read_text().splitlines()]
        assert again == rows(evaluation / "benchmarks", name)


TITLES = ["TempCompass", "PerceptionTest", "NExT-QA", "MVBench", "EgoSchema", "LongVideoBench", "Video-MME", "MLVU"]


def test_a_miniatures_row_stands_without_the_papers(evaluation: Path) -> None:
    text = (evaluation / "benchmarks" / "benchmarks.md").read_text()
    head, _, own = text.splitlines()[:3]
    assert [cell.strip() for cell in head.split("|")[2:-1]] == TITLES
    assert own.startswith("| demo |")
    assert "published" not in text
    assert "74.0" not in (evaluation / "benchmarks" / "benchmarks.tex").read_text()


def test_a_models_row_stands_with_the_papers_two(evaluation: Path) -> None:
    (entry,) = json.loads((evaluation / "results.json").read_text())["rounds"]
    summaries = {name: summary | {"miniature": False} for name, summary in entry["benchmarks"].items()}
    _, _, base, aligned, own = markdown("mine", summaries).splitlines()[:5]
    # The paper doesn't report the last two.
    assert base.endswith("| 68.3 | 62.2 | 77.0 | 69.8 | 52.0 | 57.8 | - | - |")
    assert aligned.endswith("| 69.1 | 66.1 | 80.6 | 74.0 | 58.8 | 59.8 | - | - |")
    assert own.startswith("| mine |")
    assert r"68.3 & 62.2 & 77.0 & 69.8 & 52.0 & 57.8 & - & - \\" in latex("mine", summaries)
    assert r"$\pm$" in latex("mine", summaries)
    # The likelihood of options doesn't compare with the paper's replies.
    summaries["mvbench"]["scorer"] = "likelihood"
    assert "| 77.0 | - | 52.0 |" in markdown("mine", summaries)


@pytest.mark.parametrize("names", [("samples",), ("mvbench", "egoschema", "mlvu")])
def test_the_demo_shows_on_the_samples_what_a_miniature_knows(
    names: tuple[str, ...],
    samples: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As `make validate EXP=demo BENCH=...` runs it: the folder of the benchmarks comes from the environment."""
    monkeypatch.setenv("SAVI_BENCHMARKS", str(samples))
    configs = [f"--config={EVAL / name}.yaml" for name in names]
    quiet = [f"--runs={tmp_path}", "--name=demo", "--trainer.enable_progress_bar=false"]
    main(["validate", f"--config={DEMO}", *configs, *quiet])
    (entry,) = json.loads((tmp_path / "demo" / "base" / "results.json").read_text())["rounds"]
    expected = ("mvbench", "nextqa", "tempcompass") if names == ("samples",) else names
    assert tuple(entry["benchmarks"]) == expected
    for summary in entry["benchmarks"].values():
        assert summary["scorer"] == "likelihood"
        assert summary["accuracy"] > 0.3
        assert summary["unread"] == 0
    said = capsys.readouterr().out
    assert "Measured: the base of demo, world, before any training." in said
    assert "earnt from" not in said
    assert "paper" not in said
    assert "unread" not in said


@pytest.mark.slow  # a log that was cut off is read below, and tests/runs/test_predict.py kills a command
def test_a_killed_evaluation_goes_on_and_ends_with_the_same_files(
    evaluation: Path, samples: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "savi.cli", *arguments(tmp_path, samples)],
        env=os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    folder = tmp_path / "demo" / "base" / "benchmarks"
    log = folder / "perceptiontest.replies.jsonl"
    deadline = time.monotonic() + 120
    while not log.is_file() or log.read_text().count("\n") < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (folder / "perceptiontest.jsonl").exists()
    with log.open("a") as file:
        file.write('[{"id": "clip_0')
    main(arguments(tmp_path, samples))
    assert "PerceptionTest: 12 of 18 were answered before" in caplog.text
    for name in NAMES:
        for kind in ("jsonl", "replies.jsonl"):
            file_name = f"{name}.{kind}"
            assert (folder / file_name).read_bytes() == (evaluation / "benchmarks" / file_name).read_bytes(), file_name
    results = [json.loads((run / "results.json").read_text()) for run in (evaluation, folder.parent)]
    for result in results:
        result["rounds"][0].pop("seconds")
    assert results[0] == results[1]


@pytest.mark.slow  # tests/test_two_processes.py evaluates in two processes, too
def test_two_processes_answer_as_one_does_and_one_takes_what_they_answered(
    evaluation: Path, samples: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = ("egoschema", "nextqa")
    given = arguments(tmp_path, samples, names=names)
    two = ["--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.strategy=ddp"]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "savi.cli"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launcher, *given, *two], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    folder = tmp_path / "demo" / "base" / "benchmarks"
    shares = [(folder / f"nextqa.replies{rank}.jsonl").read_text().count('"id"') for rank in ("", "-1")]
    assert min(shares) > 0
    main(given)
    assert f"NExT-QA: {sum(shares)} of {sum(shares)} were answered before" in caplog.text
    for name in names:
        assert (folder / f"{name}.jsonl").read_bytes() == (evaluation / "benchmarks" / f"{name}.jsonl").read_bytes()


def test_what_was_answered_with_other_settings_is_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"key": "a"}\n[{"id": "x", "response": "B", "logps": [], "problem": ""}]\n[{"id": "y"')
    assert len(AnswerLog(path, "a")) == 1
    assert path.read_text().count("\n") == 2
    assert len(AnswerLog(path, "b")) == 0
    assert path.read_text() == '{"key": "b"}\n'


def test_likelihood_chooses_the_option_of_the_highest_mean(samples: Path, tmp_path: Path) -> None:
    names = ("nextqa", "tempcompass", "mvbench")
    likely = [f"--data.benchmark.{name}.scorer=likelihood" for name in names]
    main(arguments(tmp_path, samples, *likely, names=names))
    folder = tmp_path / "demo" / "base"
    (entry,) = json.loads((folder / "results.json").read_text())["rounds"]
    for name in names:
        for row in rows(folder / "benchmarks", name):
            values = list("ABCDE") if row["task"] != "yes_no" else ["yes", "no"]
            values = row["options"] if row["task"] == "caption_matching" else values
            assert row["pred"] == values[row["logps"].index(max(row["logps"]))]
            assert not row["fallback"]
        assert entry["benchmarks"][name]["unread"] == 0
    # The base was taught these questions: it is far above the 25 % of chance.
    assert entry["benchmarks"]["mvbench"]["accuracy"] > 0.35


def test_a_fit_measures_a_subset_before_and_after_each_round(samples: Path, tmp_path: Path) -> None:
    more = [*QUICK, "--data.clip_count=4", "--trainer.max_epochs=1", "--data.benchmark.mvbench.questions=7"]
    main(arguments(tmp_path, samples, *more, names=("mvbench", "egoschema"), command="fit"))
    run = tmp_path / "demo" / "version_0"
    rounds = json.loads((run / "results.json").read_text())["rounds"]
    assert [entry["benchmarks"]["mvbench"]["items"] for entry in rounds] == [7, 7]
    ids = [[row["id"] for row in rows(run / "benchmarks" / f"round_0{i}", "mvbench")] for i in (0, 1)]
    assert ids[0] == ids[1]
    assert "accuracy" not in rounds[0]
    assert "val/mvbench/accuracy" in (run / "metrics.csv").read_text()

    main(arguments(tmp_path, samples, "--ckpt_path=last", names=("mvbench",)))
    validated = json.loads((run / "validate" / "results.json").read_text())["rounds"]
    # The fit's base answered seven of the questions; it is not set next to these.
    assert [entry["round"] for entry in validated] == [1]
    assert validated[0]["benchmarks"].keys() == {"mvbench"}
    assert validated[0]["benchmarks"]["mvbench"]["items"] == 18


def test_all_of_egoschema_leaves_a_submission(samples: Path, tmp_path: Path) -> None:
    main(arguments(tmp_path, samples, "--data.benchmark.egoschema.split=full", names=("egoschema",)))
    folder = tmp_path / "demo" / "base" / "benchmarks"
    chosen = json.loads((folder / "egoschema_submission.json").read_text())
    scored = {row["id"]: row for row in rows(folder, "egoschema")}
    assert chosen.keys() == scored.keys()
    assert all("ABCDE"[index] == (scored[name]["pred"] or scored[name]["drawn"]) for name, index in chosen.items())
    (entry,) = json.loads((folder.parent / "results.json").read_text())["rounds"]
    assert entry["benchmarks"]["egoschema"]["unlabelled"] * 2 == len(scored)


def complaint(arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The one line that it ends with, before a model is loaded."""

    def loaded(*_: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr("savi.training.aligned_model.load_base", loaded)
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("savi:")]
    return line


def test_missing_videos_are_one_report_before_the_model(
    samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(samples / "nextqa", tmp_path / "nextqa")
    gone = sorted((tmp_path / "nextqa").rglob("*.mp4"))[:2]
    for path in gone:
        path.unlink()
    call = arguments(tmp_path / "runs", tmp_path, names=("nextqa",))
    assert "2 of 6 videos are missing" in complaint(call, capsys, monkeypatch)
    monkeypatch.undo()
    main([*call, "--data.benchmark.nextqa.allow_missing=true"])
    (entry,) = json.loads((tmp_path / "runs" / "demo" / "base" / "results.json").read_text())["rounds"]
    assert (entry["benchmarks"]["nextqa"]["items"], entry["benchmarks"]["nextqa"]["missing"]) == (12, 6)


def test_a_video_that_can_not_be_decoded_is_wrong_and_named(samples: Path, tmp_path: Path) -> None:
    shutil.copytree(samples / "perceptiontest", tmp_path / "perceptiontest")
    broken = sorted((tmp_path / "perceptiontest").rglob("*.mp4"))[0]
    broken.write_bytes(b"not a video")
    main(arguments(tmp_path / "runs", tmp_path, names=("perceptiontest",)))
    folder = tmp_path / "runs" / "demo" / "base"
    bad = [row for row in rows(folder / "benchmarks", "perceptiontest") if row["video"] == broken.stem]
    assert {row["problem"] for row in bad} == {"not a video"}
    assert not any(row["correct"] for row in bad)
    (entry,) = json.loads((folder / "results.json").read_text())["rounds"]
    assert entry["benchmarks"]["perceptiontest"]["undecodable"] == len(bad) == 3


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("mvbench.root=/nowhere", "data.benchmark.mvbench.root: /nowhere is not a folder"),
        ("mvbench.root=", "data.benchmark.mvbench.root is needed"),
        ("mvbench.tasks=[moving]", "data.benchmark.mvbench.tasks: 'moving' is none of"),
        ("mvbench.split=val", "data.benchmark.mvbench.split: 'val'"),
        ("mvbench.questions=0", "data.benchmark.mvbench.questions must be at least 1"),
        ("mvbench.subtitles=true", "only longvideobench"),
        ("mvbench.scorer=guess", "scorer"),
        ("mvbench.rote=x", "rote"),
    ],
)
def test_a_wrong_setting_is_one_line_before_the_model(
    setting: str,
    said: str,
    samples: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call = arguments(tmp_path, samples, f"--data.benchmark.{setting}", names=("mvbench",))
    assert said in complaint(call, capsys, monkeypatch)


def test_captions_have_no_options_to_score(
    samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    more = ["--data.benchmark.tempcompass.tasks=null", "--data.benchmark.tempcompass.scorer=likelihood"]
    call = arguments(tmp_path, samples, *more, names=("tempcompass",))
    assert "captioning has no options" in complaint(call, capsys, monkeypatch)


def test_two_wrong_benchmarks_are_one_report(
    samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = [f"--data.benchmark.{name}.root=/nowhere" for name in ("nextqa", "mvbench")]
    line = complaint(arguments(tmp_path, samples, *nowhere), capsys, monkeypatch)
    assert "data.benchmark.nextqa.root" in line
    assert "data.benchmark.mvbench.root" in line


def test_workers_and_a_limit_on_batches(samples: Path, tmp_path: Path) -> None:
    names = ("nextqa", "perceptiontest")
    main(arguments(tmp_path / "a", samples, "--data.workers=2", names=names))
    main(arguments(tmp_path / "b", samples, names=names))
    main(arguments(tmp_path / "c", samples, "--trainer.limit_val_batches=0.25", names=names))
    folders = [tmp_path / runs / "demo" / "base" for runs in "abc"]
    for name in names:
        assert rows(folders[0] / "benchmarks", name) == rows(folders[1] / "benchmarks", name)
    (entry,) = json.loads((folders[2] / "results.json").read_text())["rounds"]
    # One batch of four: four of the six clips of the first benchmark, three questions each.
    assert [entry["benchmarks"][name]["unanswered"] for name in names] == [6, 18]
    assert [entry["benchmarks"][name]["accuracy"] is None for name in names] == [False, True]
