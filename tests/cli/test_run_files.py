"""A run's own files, whatever loggers and callbacks the user adds, and what W&B and TensorBoard get of it."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import redirect_stderr
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import torch
import wandb
import yaml
from lightning import Trainer
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from savi.cli import main
from savi.training import dashboard, progress
from savi.training.loggers import ResumableCSVLogger, build_loggers
from savi.training.run_folder import run_folder, run_name
from savi.types import SaviError
from tests.quick_runs import QUICK
from tests.wandb_files import finished_run, history_of, tables_of

BY_STEP = ("loss", "rewards/margins", "optimizer/lr", "optimizer/grad_norm", "speed/clips_per_second")
BY_ROUND = (
    "val/accuracy",
    "val/world/malformed",
    "pairs/total",
    "filters/unparsable",
    "seconds/evaluating",
    "memory/peak_gib",
)

DEMO = Path(__file__).parents[2] / "experiments" / "demo.yaml"


class NeedsAnotherPackage(CSVLogger):
    """A logger as those of services are: it asks for its package when it is made."""

    def __init__(self) -> None:
        raise ModuleNotFoundError("No module named 'a_service'. HINT: pip install a_service")


def arguments(runs: Path, *more: str) -> list[str]:
    small = [*QUICK, "--data.clip_count=4", "--data.benchmark_clips=2"]
    return ["fit", f"--config={DEMO}", f"--runs={runs}", *small, *more]


def own_logger_and_checkpoint(folder: Path) -> list[str]:
    loggers = [{"class_path": name, "init_args": {"save_dir": str(folder)}} for name in ("TensorBoardLogger",)]
    loggers.append({"class_path": "CSVLogger", "init_args": {"save_dir": str(folder), "name": "csv"}})
    best = {"class_path": "ModelCheckpoint", "init_args": {"monitor": "val/accuracy", "dirpath": str(folder / "best")}}
    return [f"--trainer.logger={json.dumps(loggers)}", f"--trainer.callbacks={json.dumps([best])}"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two rounds with W&B, and with loggers and a checkpoint of the user's own, in `own/`.

    All its rounds count as collapsed, and progress.log has a line of every step.
    """
    runs = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch, (runs / "progress.log").open("w") as log, redirect_stderr(log):
        patch.setattr(dashboard, "MOST_MALFORMED", -1)
        patch.setattr(progress, "LOGGED_SECONDS", 0.0)
        more = own_logger_and_checkpoint(runs / "own")
        more += ["--wandb=offline", "--trainer.enable_progress_bar=true"]
        main(arguments(runs, "--trainer.max_epochs=2", *more))
    wandb.finish()
    return runs


@pytest.fixture(scope="module")
def on_wandb(runs: Path) -> list[Any]:
    """The records of the run in W&B."""
    return finished_run(runs / "demo" / "version_0" / "wandb")


@pytest.fixture(scope="module")
def on_tensorboard(runs: Path) -> EventAccumulator:
    events = EventAccumulator(str(runs / "own" / "lightning_logs" / "version_0"), size_guidance={"tensors": 0})
    return events.Reload()


def rows_of(run: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / name).read_text().splitlines()]


def column(path: Path, name: str) -> list[float]:
    with path.open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row.get(name)]


def test_the_users_loggers_get_what_the_metrics_file_gets(runs: Path, on_tensorboard: EventAccumulator) -> None:
    own = runs / "demo" / "version_0" / "metrics.csv"
    for name in (*BY_STEP, *BY_ROUND):
        assert column(own, name)
        assert column(runs / "own" / "csv" / "version_0" / "metrics.csv", name) == column(own, name)
        assert [event.value for event in on_tensorboard.Scalars(name)] == pytest.approx(column(own, name))


def test_wandb_gets_the_same_by_step_and_by_round(runs: Path, on_wandb: list[Any]) -> None:
    own = runs / "demo" / "version_0" / "metrics.csv"
    axes = {record.metric.name: record.metric.step_metric for record in on_wandb}
    history = history_of(on_wandb)
    for names, axis in ((BY_STEP, "trainer/global_step"), (BY_ROUND, "round")):
        for name in names:
            assert axes[name] == axis
            logged = [row for row in history if name in row]
            assert [row[name] for row in logged] == pytest.approx(column(own, name))
            assert all(axis in row for row in logged)
    assert [row["round"] for row in history if "val/accuracy" in row] == [0, 1, 2]
    assert [row["round"] for row in history if "seconds/training" in row] == [1, 2]


def test_wandb_has_the_settings_and_what_sorts_runs(runs: Path, on_wandb: list[Any]) -> None:
    run = runs / "demo" / "version_0"
    (record,) = [record.run for record in on_wandb if record.HasField("run")]
    assert (record.display_name, record.run_group, record.job_type) == ("demo-000", "demo", "fit")
    assert set(record.tags) == {"demo", "base world", "sigmoid", "seed 0"}
    config = {item.key: json.loads(item.value_json) for one in on_wandb for item in one.config.update}
    assert config["model"] == yaml.safe_load((run / "config.yaml").read_text())["model"]
    summary = {item.key or item.nested_key[0]: item.value_json for one in on_wandb for item in one.summary.update}
    rounds = json.loads((run / "results.json").read_text())["rounds"]
    accuracies = [entry["benchmarks"]["world"]["accuracy"] for entry in rounds]
    assert {name: json.loads(summary[name]) for name in sorted(summary) if name.startswith("run/")} == pytest.approx(
        {
            "run/best_accuracy": max(accuracies),
            "run/gain": accuracies[2] - accuracies[0],
            "run/last_accuracy": accuracies[2],
            "run/malformed": rounds[2]["benchmarks"]["world"]["malformed"],
            "run/pairs": rounds[1]["pairs"] + rounds[2]["pairs"],
        }
    )


def test_wandb_keeps_a_table_with_a_sheet_and_a_video_of_each_clip(runs: Path, on_wandb: list[Any]) -> None:
    run, tables = runs / "demo" / "version_0", tables_of(on_wandb)
    kinds = {"pairs": (0, 1), "filtered": (0, 1), "replies": (1, 2)}
    assert set(tables) == {f"tables/{kind}/round_{index:02d}" for kind, indices in kinds.items() for index in indices}
    for name, (table, media) in tables.items():
        assert table["data"]
        clips = {row[0] for row in table["data"]}
        assert sorted(path.read_bytes()[:4] == b"\x89PNG" for path in media) == [False] * len(clips) + [True] * len(
            clips
        )
        assert all(path.is_relative_to(run) for path in media)
        assert {row[1]["_type"] for row in table["data"]} == {"image-file"}, name
        assert {row[2]["_type"] for row in table["data"]} == {"video-file"}, name
    pairs = rows_of(run, "pairs/round_01.jsonl")
    assert [row[0] for row in tables["tables/pairs/round_01"][0]["data"]] == [pair["clip"] for pair in pairs]
    replies = rows_of(run, "benchmarks/round_02/world.jsonl")
    asked = tables["tables/replies/round_02"][0]["columns"].index("question")
    assert sorted(row[asked] for row in tables["tables/replies/round_02"][0]["data"]) == sorted(
        r["question"] for r in replies
    )


def test_wandb_is_told_of_a_round_that_has_collapsed(on_wandb: list[Any]) -> None:
    alerts = [record.alert for record in on_wandb if record.HasField("alert")]
    assert [alert.title for alert in alerts] == ["demo", "demo"]
    assert re.fullmatch(r"Round 2: \d+ % of the replies to world are malformed", alerts[1].text)


def test_wandbs_own_reader_reads_the_run_in_the_terminal(runs: Path, on_wandb: list[Any]) -> None:
    pytest.importorskip("wandb.cli.leet")  # older ones have none
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(runs / "demo" / "version_0" / "wandb")]
    quiet = os.environ | {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false"}
    said = subprocess.run(command, env=quiet, capture_output=True, text=True, check=True).stdout
    kinds = Counter(json.loads(line)["type"] for line in said.splitlines())
    for kind in ("metric", "alert", "artifact", "history"):
        assert kinds[kind] == sum(record.HasField(kind) for record in on_wandb) > 0


def test_the_progress_says_what_the_run_is_doing(runs: Path) -> None:
    said = (runs / "progress.log").read_text()
    for line in (
        "Base evaluating 100 %",
        "Round 1/2 checking readiness",
        r"Round 1/2 building 100 %, \d+ pairs, \d+ % filtered, left >",
        r"Round 2/2 training 100 %, loss \d\.\d\d, accuracy \d\.\d\d, left \d+ s, run \d+ s",
        r"Round 2/2 evaluating 100 %, left 0 s, run 0 s",
    ):
        assert re.search(f"^{line}", said, re.MULTILINE), line
    assert max(map(len, re.findall("^(?:Round|Base).*", said, re.MULTILINE))) < 80


def test_tensorboard_has_the_words_and_a_moving_picture_of_each_clip(
    runs: Path, on_tensorboard: EventAccumulator
) -> None:
    pairs = rows_of(runs / "demo" / "version_0", "pairs/round_01.jsonl")
    tags = on_tensorboard.Tags()
    for clip in {pair["clip"] for pair in pairs}:
        (event,) = on_tensorboard.Tensors(f"tables/pairs/round_01/{clip}/text_summary")
        said = event.tensor_proto.string_val[0].decode()
        assert all(pair["question"] in said for pair in pairs if pair["clip"] == clip)
        (picture,) = on_tensorboard.Images(f"tables/pairs/round_01/{clip}/video")
        with Image.open(BytesIO(picture.encoded_image_string)) as gif:
            assert getattr(gif, "n_frames", 1) > 1
    assert {tag.split("/")[1] for tag in tags["images"]} == {"pairs", "filtered", "replies"}
    assert "alerts/text_summary" in tags["tensors"]


def test_the_users_checkpoint_stands_next_to_the_runs_own(runs: Path) -> None:
    checkpoints = sorted(path.name for path in (runs / "demo" / "version_0" / "checkpoints").iterdir())
    assert checkpoints == ["last.ckpt", "round_00.ckpt", "round_01.ckpt"]
    assert list((runs / "own" / "best").glob("*.ckpt"))


def test_such_a_run_is_resumed_and_not_begun_again(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs, tmp_path / "moved")
    run = tmp_path / "moved" / "demo" / "version_0"
    before = {path: path.read_bytes() for path in (run / "pairs").iterdir()}
    more = own_logger_and_checkpoint(tmp_path / "moved" / "own")
    main(arguments(tmp_path / "moved", "--trainer.max_epochs=3", "--ckpt_path=last", *more))
    assert before == {path: path.read_bytes() for path in before}
    assert [entry["round"] for entry in json.loads((run / "results.json").read_text())["rounds"]] == [0, 1, 2, 3]
    checkpoints = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert checkpoints == ["last.ckpt", "round_00.ckpt", "round_01.ckpt", "round_02.ckpt"]
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["epoch"] == 2


def test_a_logger_whose_package_is_missing_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments(tmp_path, f"--trainer.logger={__name__}.NeedsAnotherPackage"))
    assert stop.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("savi:")]
    assert "NeedsAnotherPackage: No module named 'a_service'. HINT: pip install a_service" in line


@pytest.mark.parametrize("given", [None, True, False])
def test_the_metrics_file_needs_no_other_logger(given: bool | None, tmp_path: Path) -> None:
    (own,) = build_loggers(tmp_path, "demo", 3, "off", None, given)
    assert isinstance(own, ResumableCSVLogger)


def test_a_logger_that_would_write_the_metrics_file_too_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SaviError, match=r"version_0/metrics.csv is savi's own"):
        build_loggers(tmp_path, "demo", 0, "off", None, CSVLogger(tmp_path, name="demo"))


@pytest.mark.parametrize("own_first", [True, False])
def test_the_folder_of_a_run_does_not_depend_on_the_order_of_its_loggers(own_first: bool, tmp_path: Path) -> None:
    loggers: list[Logger] = [ResumableCSVLogger(tmp_path, "demo", 0, None), TensorBoardLogger(tmp_path / "other")]
    trainer = Trainer(
        accelerator="cpu",
        logger=loggers if own_first else loggers[::-1],
        default_root_dir=tmp_path / "demo" / "version_0",
    )
    assert run_folder(trainer) == tmp_path / "demo" / "version_0"
    assert run_name(trainer) == "demo"


def test_a_trainer_without_loggers_has_a_folder_and_a_name(tmp_path: Path) -> None:
    trainer = Trainer(accelerator="cpu", logger=False, default_root_dir=tmp_path / "mine")
    assert run_folder(trainer) == tmp_path / "mine"
    assert run_name(trainer) == "mine"
