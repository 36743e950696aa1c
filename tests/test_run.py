"""Whole runs of the demo in small: what they leave behind, that they repeat, and that a killed one goes on."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
import wandb
import yaml
from datasets import load_dataset
from PIL import Image
from playwright.sync_api import expect

from savi.cli import main
from savi.critique.clip_results import ClipResult
from savi.critique.question_maker import QuestionMaker
from savi.record.lock import lock_run, unlock_run
from tests.quick_runs import QUICK
from tests.real_videos import real_videos
from tests.view.browser import Visit, browser, until
from tests.wandb_files import finished_run
from tools.view_pictures import served

DEMO = Path(__file__).parent.parent / "experiments" / "demo.yaml"
SMALL = [
    *QUICK,
    "--data.clip_count=12",
    "--data.benchmark_clips=6",
    "--data.micro_batch_clips=4",
    "--trainer.max_epochs=2",
    "--model.lora.dropout=0.05",  # so that a run that repeats repeats its random draws too
]


def arguments(runs: Path, *more: str, command: str = "fit") -> list[str]:
    return [command, "--config", str(DEMO), f"--runs={runs}", *SMALL, *more]


def fit(runs: Path, *more: str) -> Path:
    """Run in this process; the folder of the run."""
    before = set(runs.glob("demo/version_*"))
    main(arguments(runs, *more))
    (run,) = set(runs.glob("demo/version_*")) - before
    return run


def timeless(path: Path) -> dict[str, Any]:
    """results.json without the seconds, the only thing in it that two equal runs may differ in."""
    results: dict[str, Any] = json.loads(path.read_text())
    for entry in results["rounds"]:
        entry.pop("seconds")
    return results


def assert_same_run(one: Path, other: Path) -> None:
    assert timeless(one / "results.json") == timeless(other / "results.json")
    for name in ("pairs", "traces", "logps", "benchmarks"):
        files = sorted((one / name).rglob("*.jsonl"))
        assert files
        for file in files:
            assert file.read_bytes() == (other / file.relative_to(one)).read_bytes(), file
    weights = [torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"] for run in (one, other)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def run(runs: Path) -> Path:
    """An undisturbed small run."""
    return fit(runs)


def test_results_tell_of_the_base_and_of_every_round(run: Path) -> None:
    rounds = json.loads((run / "results.json").read_text())["rounds"]
    assert [entry["round"] for entry in rounds] == [0, 1, 2]
    for entry in rounds:
        world = entry["benchmarks"]["world"]
        tasks = world["by_task"]
        assert 0 <= min(tasks.values()) <= world["accuracy"] <= max(tasks.values()) <= 1
        wrong = round((1 - world["accuracy"]) * world["items"])
        assert sum(world["errors"].values()) == wrong
        assert entry["seconds"]["evaluating"] > 0
    for entry in rounds[1:]:
        pairs = (run / "pairs" / f"round_{entry['round'] - 1:02d}.jsonl").read_text().splitlines()
        assert entry["pairs"] == len(pairs) > 0


def test_a_run_leaves_everything_it_promises(run: Path) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["lora"]["r"] == 8
    assert (run / "adapter" / "adapter_model.safetensors").is_file()
    assert json.loads((run / "readiness.json").read_text())["questions"] > 0
    with Image.open(run / "summary.png") as picture:
        assert min(picture.size) > 500
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for name in (
        "loss",
        "rewards/accuracies",
        "rewards/margins",
        "logps/chosen",
        "val/accuracy",
        "val/world/motion",
        "pairs/total",
    ):
        assert any(row[name] for row in rows), name
    assert any(row["filters/unchanged_revision"] for row in rows)
    assert [name for name in rows[0] if " " in name] == []


def test_a_rounds_pairs_are_in_the_metrics_before_its_first_step(run: Path) -> None:
    """What is written after the round's checkpoint is lost by a kill in between, for the resumed run has it no more."""
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    pairs = [number for number, row in enumerate(rows) if row["pairs/total"]]
    assert len(pairs) == 2
    for number in pairs:
        assert rows[number + 1]["loss"]
        assert rows[number + 1]["step"] == rows[number]["step"]


def test_checkpoints_hold_the_adapter_and_not_the_base(run: Path) -> None:
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["state_dict"]
    assert all("lora_" in name for name in checkpoint["state_dict"])
    assert checkpoint["optimizer_states"][0]["state"]


def test_pairs_are_read_as_a_preference_data_set(run: Path, tmp_path: Path) -> None:
    files = [str(path) for path in sorted((run / "pairs").glob("*.jsonl"))]
    data = load_dataset("json", data_files=files, split="train", cache_dir=str(tmp_path))
    assert {"prompt", "chosen", "rejected"} <= set(data.column_names)
    assert all(row["chosen"] != row["rejected"] for row in data)


def test_its_page_shows_what_is_in_its_files(run: Path, tmp_path: Path) -> None:
    pairs = sum(entry["pairs"] for entry in json.loads((run / "results.json").read_text())["rounds"])
    first = json.loads((run / "traces" / "round_00.jsonl").read_text().splitlines()[0])
    pair, policy = (
        json.loads((run / part / "round_00.jsonl").read_text().splitlines()[0]) for part in ("pairs", "logps")
    )
    with browser() as chromium, served([run], tmp_path) as address:
        visited = Visit(chromium)
        page = visited.page
        page.goto(address)
        expect(page.locator(".status")).to_have_text("finished The run is finished: 2 rounds.")
        expect(page.locator(".tiles")).to_contain_text(f"{pairs}pairs that the model made")
        page.goto(f"{address}#/pairs?round=1")
        page.click(f".grid a:has-text('{first['clip']}')")
        asked = page.locator("section[aria-labelledby=round-1] .question h4")
        expect(asked).to_have_text([trace["question"] for trace in first["traces"]])
        until(page, "document.querySelector('video')?.readyState >= 2")
        page.goto(f"{address}#/pairs?round=1&clip={pair['clip']}")
        table = page.locator("section[aria-labelledby=round-1] .question.kept table").first
        expect(table.locator("thead th:nth-child(4)")).to_have_text(f"policy at step {policy['steps'][0]}")
        margins = [policy[f"{side}_logps"][0] - pair[f"reference_{side}_logp"] for side in ("chosen", "rejected")]
        margin = f"{policy['beta'] * (margins[0] - margins[1]):+.2f}".replace("-", "\N{MINUS SIGN}")
        expect(table.locator("tr:last-child td:last-child")).to_have_text("0.00" if "0.00" in margin else margin)
        visited.check(address)


@pytest.mark.slow  # runs that were killed end as equals below
def test_the_same_seed_gives_the_same_run_and_another_another(run: Path, runs: Path) -> None:
    assert_same_run(run, fit(runs))
    other = fit(runs, "--seed_everything=1", "--trainer.max_epochs=1")
    assert timeless(run / "results.json")["rounds"][1] != timeless(other / "results.json")["rounds"][1]


def test_validate_gives_the_accuracy_that_the_run_ended_with(run: Path, runs: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "demo" / "version_0")
    main(arguments(tmp_path, "--ckpt_path=last", command="validate"))
    ended = timeless(run / "results.json")["rounds"][-1]
    validated = timeless(tmp_path / "demo" / "version_0" / "validate" / "results.json")
    assert validated["rounds"][-1].pop("checkpoint").endswith("demo/version_0/checkpoints/last.ckpt")
    assert validated["rounds"][-1] == ended
    assert validated["run"]["name"] == "demo"


def test_test_measures_the_trained_model_on_questions_that_the_fit_never_asked(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run, tmp_path / "demo" / "version_0")
    main(arguments(tmp_path, "--ckpt_path=last", "--data.benchmark_clips=2", command="test"))
    (entry,) = timeless(tmp_path / "demo" / "version_0" / "test" / "results.json")["rounds"]  # the base isn't compared
    assert entry["round"] == 2
    assert entry["benchmarks"]["world"]["measured_on"]["split"] == "test"
    asked = {place["split"] for one in timeless(run / "results.json")["rounds"] for place in measured_on(one)}
    assert asked == {"dev"}


def measured_on(entry: dict[str, Any]) -> list[dict[str, Any]]:
    return [summary["measured_on"] for summary in entry["benchmarks"].values()]


def test_a_run_killed_while_it_builds_pairs_goes_on_to_the_same_end(run: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "savi.cli", *arguments(tmp_path)]
    environment = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    progress = tmp_path / "demo" / "version_0" / "pairs" / "round_01.progress.json"
    deadline = time.monotonic() + 300
    while not progress.is_file() or json.loads(progress.read_text())["clips"] < 8:
        assert process.poll() is None, process.stderr.read().decode()[-2000:] if process.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not json.loads(progress.read_text())["complete"]
    # What a kill in the middle of a write would leave.
    with (progress.parent / "round_01.jsonl").open("a") as file:
        file.write('{"clip": "clip_000')

    main(arguments(tmp_path, "--ckpt_path=last"))
    assert_same_run(run, tmp_path / "demo" / "version_0")
    assert not (tmp_path / "demo" / "version_1").exists()
    with (run / "metrics.csv").open() as undisturbed, (progress.parent.parent / "metrics.csv").open() as resumed:
        steps = [[row["step"] for row in csv.DictReader(file) if row["loss"]] for file in (undisturbed, resumed)]
    assert steps[0] == steps[1]


def test_sigterm_stops_a_run_at_once_and_it_goes_on_to_the_same_end(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lightning's own handler would let it build all pairs of the round, and then end it with exit code 0."""
    batch, calls = QuestionMaker.run, count(1)

    def terminated(self: QuestionMaker, *given: Any) -> list[ClipResult]:
        if next(calls) == 3:  # one for the readiness check
            os.kill(os.getpid(), signal.SIGTERM)
        return batch(self, *given)

    interrupted = signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patched:
        patched.setattr(QuestionMaker, "run", terminated)
        with pytest.raises(SystemExit) as stopped:
            main(arguments(tmp_path))
    signal.signal(signal.SIGINT, interrupted)  # Lightning has set it to be ignored
    assert stopped.value.code == 1
    assert json.loads((tmp_path / "demo" / "version_0" / "pairs" / "round_00.progress.json").read_text())["clips"] == 4
    main(arguments(tmp_path, "--ckpt_path=last"))
    assert_same_run(run, tmp_path / "demo" / "version_0")


def test_a_run_killed_before_its_first_checkpoint_goes_on_from_its_first_clip(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "demo" / "version_0"
    shutil.copytree(run, copy)
    shutil.rmtree(copy / "checkpoints")
    for path in (*(copy / "pairs").glob("round_01*"), copy / "traces" / "round_01.jsonl", copy / "summary.png"):
        path.unlink()
    results = json.loads((copy / "results.json").read_text())
    results["rounds"].pop()
    (copy / "results.json").write_text(json.dumps(results))
    main(arguments(tmp_path, "--ckpt_path=last"))
    assert_same_run(run, copy)


def test_a_run_killed_while_it_closes_builds_no_further_round(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "demo" / "version_0"
    shutil.copytree(run, copy)
    (copy / "summary.png").unlink()
    main(arguments(tmp_path, "--ckpt_path=last"))
    assert_same_run(run, copy)
    assert (copy / "summary.png").is_file()
    assert {path.name for path in (copy / "pairs").glob("*.jsonl")} == {"round_00.jsonl", "round_01.jsonl"}


def test_a_round_begun_with_other_settings_is_not_gone_on_with(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "demo" / "version_0"
    shutil.copytree(run, copy)
    for name in ("last.ckpt", "round_01.ckpt"):
        (copy / "checkpoints" / name).unlink()
    progress = copy / "pairs" / "round_01.progress.json"
    progress.write_text(json.dumps(json.loads(progress.read_text()) | {"key": "of other settings"}))
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    with pytest.raises(SystemExit):
        main(arguments(tmp_path, "--ckpt_path=last"))
    assert "round_01.progress.json: this round was begun with other settings" in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in copy.rglob("*")}


def test_a_run_that_another_process_is_at_is_left_alone(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "demo" / "version_0"
    shutil.copytree(run, copy)
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*") if path.suffix in (".jsonl", ".yaml")}
    lock = lock_run(copy)
    with pytest.raises(SystemExit) as stop:
        main(arguments(tmp_path, "--ckpt_path=last", "--trainer.max_epochs=3"))
    unlock_run(lock)
    assert stop.value.code == 2
    assert "another process is still at work" in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_fit_takes_no_checkpoint_but_the_last(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments(tmp_path, f"--ckpt_path={run / 'checkpoints' / 'round_00.ckpt'}"))
    assert "round_00.ckpt: fit resumes `last` alone" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_nf4_trains_evaluates_and_resumes_to_the_same_end(tmp_path: Path) -> None:
    given = ["--model.base.nf4=true", "--data.clip_count=4", "--data.benchmark_clips=2"]
    whole = fit(tmp_path / "whole", *given)
    rounds = json.loads((whole / "results.json").read_text())["rounds"]
    assert len(rounds) == 3
    assert all(entry["pairs"] > 0 for entry in rounds[1:])
    halves = fit(tmp_path / "halves", *given, "--trainer.max_epochs=1")
    main(arguments(tmp_path / "halves", *given, "--ckpt_path=last"))
    assert_same_run(whole, halves)


def test_a_folder_of_ordinary_videos_goes_round_and_broken_files_are_named(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for video in real_videos():
        shutil.copy(video, tmp_path / video.name)
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("not a video")
    run = fit(runs, f"--data.clips={tmp_path}", "--data.clip_count=null", "--trainer.max_epochs=1")
    (entry,) = json.loads((run / "results.json").read_text())["rounds"][1:]
    assert entry["pairs"] > 0
    assert entry["filters"]["undecodable"] == 2
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] > 0
    said = capsys.readouterr().out
    assert "2 of 6 clips were left out" in said
    assert f"{tmp_path / 'empty.mp4'}: empty file" in said


def test_a_round_without_a_pair_says_which_filter_took_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments(tmp_path, "--model.chain.answer.max_new_tokens=1", "--data.benchmark=null", "--wandb=offline"))
    wandb.finish()
    assert stop.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("savi: ")]
    assert "unfinished" in line
    (alert,) = [one.alert for one in finished_run(tmp_path / "demo" / "version_0" / "wandb") if one.HasField("alert")]
    assert alert.text == line.replace("savi:", "The run has stopped:")


def test_a_folder_without_one_good_video_is_one_line(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(SystemExit) as stop:
        main(arguments(runs, f"--data.clips={tmp_path}", "--data.benchmark=null"))
    assert stop.value.code == 2
    assert "none of the 1 clips could be decoded" in capsys.readouterr().err
