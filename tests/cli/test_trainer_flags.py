"""Every flag of Lightning's Trainer works as documented, or is refused in one line before anything expensive."""

from __future__ import annotations

import csv
import inspect
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Timer

from savi.alignment.trainer_arguments import CHECKED, FREE, TRAINER_ARGUMENTS
from savi.cli import main
from tests.quick_runs import QUICK

FLAGS = set(inspect.signature(Trainer.__init__).parameters) - {"self"}

OTHER_VALUES: dict[str, Any] = {
    "reload_dataloaders_every_n_epochs": (0, 2),
    "num_sanity_val_steps": (0, 2),
    "accumulate_grad_batches": (2,),
    "gradient_clip_val": (0.5, 0),
    "gradient_clip_algorithm": ("norm",),
    "val_check_interval": (0.5, 1, "00:00:01:00"),
    "enable_checkpointing": (False,),
    "use_distributed_sampler": (True,),
    "sync_batchnorm": (True,),
    "fast_dev_run": (True, 3),
    "barebones": (True,),
    "default_root_dir": ("elsewhere",),
    "model_registry": ("a-team/a-model",),
    "limit_predict_batches": (0.5,),
}
"""Values that an argument with one value can't have."""

REFUSED: dict[str, dict[Any, str]] = {
    "accelerator": {"mps": "take cpu", "tpu": "CUDA"},
    "strategy": {
        "fsdp": "take ddp",
        "ddp_spawn": "take ddp",
        '{"class_path": "DDPStrategy", "init_args": {"start_method": "fork"}}': "take ddp",
        "deepspeed_stage_2": "take ddp",
        "lightning.pytorch.strategies.ModelParallelStrategy": "take ddp",
    },
    "precision": {
        "bf16-true": "model.base.dtype",
        "16-true": "model.base.dtype",
        "64-true": "model.base.dtype",
        "transformer-engine": "model.base.dtype",
        "16-mixed": "take bf16-mixed",
    },
    "plugins": {
        '{"class_path": "BitsandbytesPrecision", "init_args": {"mode": "nf4"}}': "model.base.dtype",
        '["lightning.pytorch.plugins.TorchSyncBatchNorm"]': "frozen",
    },
    "callbacks": {
        '{"class_path": "StochasticWeightAveraging", "init_args": {"swa_lrs": 0.1}}': "average",
        '[{"class_path": "GradientAccumulationScheduler", "init_args": {"scheduling": {"1": 2}}}]': "one batch",
        "LearningRateFinder": "model.optimizer.lr",
    },
    "max_epochs": {0: "no round"},
    "max_steps": {0: "no optimizer step"},
    "limit_train_batches": {0: "learn nothing", "0.0": "learn nothing"},
    "check_val_every_n_epoch": {0: "at least 1"},
    "profiler": {"xla": "CUDA", "no-such-profiler": "profiler"},
}
"""Values that an argument with several can't have, and what the line says in their place."""

EQUAL = {
    "accelerator": "cpu",
    "strategy": "auto",
    "devices": 1,
    "num_nodes": 1,
    "precision": "32-true",
    "plugins": "lightning.pytorch.plugins.environments.LightningEnvironment",
    "max_steps": -1,
    "min_epochs": 1,
    "min_steps": 1,
    "max_time": "00:01:00:00",
    "limit_train_batches": 1.0,
    "limit_val_batches": 1.0,
    "limit_test_batches": 1,
    "overfit_batches": 0.0,
    "check_val_every_n_epoch": 1,
    "log_every_n_steps": 2,
    "enable_progress_bar": "true",
    "enable_model_summary": "true",
    "deterministic": "true",
    "benchmark": "false",
    "inference_mode": "false",
    "profiler": "simple",
    "detect_anomaly": "true",
    "enable_autolog_hparams": "false",
}
"""Values under which a run learns what it learns without them. Others have tests of their own below."""


def arguments(runs: Path, *more: str) -> list[str]:
    small = ["--data.clip_count=4", "--data.benchmark_clips=2", "--data.micro_batch_clips=2", "--data.pairs_per_step=4"]
    return ["fit", f"--runs={runs}", *QUICK, *small, "--trainer.max_epochs=2", *more]


def fit(runs: Path, *more: str) -> Path:
    main(arguments(runs, *more))
    return runs / "demo" / "version_0"


def complaint(given: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        main(given)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    (line,) = [line for line in said.splitlines() if line.startswith("savi:")]
    return line


def rounds(run: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((run / "results.json").read_text())["rounds"]
    return entries


def losses(run: Path) -> list[float]:
    with (run / "metrics.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file) if row["loss"]]


def weights(run: Path) -> torch.Tensor:
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return torch.cat([weight.flatten() for weight in state.values()])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two rounds without further flags."""
    return fit(tmp_path_factory.mktemp("plain"))


@pytest.mark.parametrize("flag", sorted(FLAGS))
def test_somebody_has_decided_what_becomes_of_every_flag(flag: str) -> None:
    """A flag that a new version of Lightning brings fails here until it is fixed, checked or free."""
    assert (flag in TRAINER_ARGUMENTS) + (flag in CHECKED) + (flag in FREE) == 1
    assert flag in OTHER_VALUES.keys() | REFUSED.keys() | EQUAL.keys() | {"logger"}  # see test_run_files.py


def test_no_decision_is_about_a_flag_that_is_gone() -> None:
    assert TRAINER_ARGUMENTS.keys() | CHECKED.keys() | FREE == FLAGS
    assert TRAINER_ARGUMENTS.keys() == OTHER_VALUES.keys()
    assert CHECKED.keys() == REFUSED.keys()


@pytest.mark.parametrize(("flag", "value"), [(flag, value) for flag, all in OTHER_VALUES.items() for value in all])
def test_a_flag_with_one_value_says_why(
    flag: str, value: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = complaint(arguments(tmp_path, f"--trainer.{flag}={value}"), capsys)
    assert f"trainer.{flag} has to be" in line
    assert TRAINER_ARGUMENTS[flag].reason in line
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("flag", "value", "said"), [(flag, value, said) for flag, all in REFUSED.items() for value, said in all.items()]
)
def test_a_value_that_the_method_cannot_run_with_says_why(
    flag: str, value: Any, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = complaint(arguments(tmp_path, f"--trainer.{flag}={value}"), capsys)
    assert "trainer" in line
    assert said in line
    assert not any(tmp_path.iterdir())


def test_a_file_that_says_otherwise_is_refused_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("trainer: {num_sanity_val_steps: 2}\n")
    line = complaint(["fit", f"--config={path}"], capsys)
    assert "num_sanity_val_steps has to be -1, not 2: the base is measured on all" in line


@pytest.mark.parametrize("flag", ["--trainer.accumulate_grad_batches=2", "--optimizer=Adam"])
def test_a_flag_is_refused_where_a_file_refers_to_another_setting_too(
    flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Resolving references loses arguments that the help doesn't offer."""
    path = tmp_path / "mine.yaml"
    path.write_text("extends: demo\ndata: {benchmark_clips: '${data.clip_count}'}\n")
    assert "optimizer" in complaint(["fit", f"--config={path}", flag], capsys)
    line = complaint(["fit", f"--config={path}", "--data.clips=/nowhere/at/all"], capsys)
    assert "/nowhere/at/all" in line


def test_a_file_that_says_the_same_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(json.dumps({"trainer": {name: fixed.value for name, fixed in TRAINER_ARGUMENTS.items()}}))
    line = complaint(["fit", f"--config={path}", "--data.clips=/nowhere/at/all"], capsys)
    assert "/nowhere/at/all" in line


def test_the_help_offers_no_flag_that_is_always_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["fit", "--help"])
    said = capsys.readouterr().out
    offered = {word.rstrip("=") for word in said.replace("[", " ").replace("]", " ").split() if word.startswith("--")}
    assert {f"--trainer.{flag}" for flag in CHECKED.keys() | FREE} <= offered
    assert not {f"--trainer.{flag}" for flag in TRAINER_ARGUMENTS} & offered
    assert not [word for word in offered if word.startswith(("--optimizer", "--lr_scheduler"))]


@pytest.mark.parametrize("given", [["--optimizer=Adam", "--optimizer.lr=0.1"], ["--lr_scheduler=StepLR"]])
def test_lightnings_own_optimizers_are_one_line(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "model.optimizer" in complaint(["fit", *given], capsys)


@pytest.mark.slow  # the flags are accepted or refused above
def test_flags_that_change_nothing_in_what_is_learned(
    plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    run = fit(tmp_path, *(f"--trainer.{flag}={value}" for flag, value in EQUAL.items()))
    for name in (
        "pairs/round_00.jsonl",
        "pairs/round_01.jsonl",
        *("benchmarks/round_00/world.jsonl", "benchmarks/round_02/world.jsonl"),
    ):
        assert (run / name).read_bytes() == (plain / name).read_bytes(), name
    assert torch.equal(weights(run), weights(plain))
    assert 0 < len(losses(run)) < len(losses(plain))  # log_every_n_steps
    assert "Profiler Report" in caplog.text
    assert "Trainable params" in capsys.readouterr().out
    torch.use_deterministic_algorithms(False)


def test_a_fixed_number_of_steps_ends_the_run_and_evaluates_it(plain: Path, tmp_path: Path) -> None:
    run = fit(tmp_path, "--trainer.max_steps=2")
    assert losses(run) == losses(plain)[:2]
    assert len(losses(plain)) > 4
    entries = rounds(run)
    assert [entry["round"] for entry in entries] == [0, 1]
    items = [(run / "benchmarks" / f"round_{number:02d}" / "world.jsonl").read_text() for number in (0, 1)]
    assert items[0] != items[1]  # it learned, and its log-probabilities show it
    assert items[0] == (plain / "benchmarks" / "round_00" / "world.jsonl").read_text()


class Late(Callback):
    """Lets the clock of trainer.max_time run out while the first round is evaluated."""

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            for callback in trainer.callbacks:  # type: ignore[attr-defined]  # its connector attaches them
                if isinstance(callback, Timer):
                    callback._offset += 7200


def test_a_run_whose_time_is_up_builds_no_further_pairs(plain: Path, tmp_path: Path) -> None:
    run = fit(tmp_path, "--trainer.max_time=00:01:00:00", f"--trainer.callbacks={__name__}.Late")
    assert [entry["round"] for entry in rounds(run)] == [0, 1]
    assert [path.name for path in (run / "pairs").glob("*.jsonl")] == ["round_00.jsonl"]
    assert (run / "benchmarks" / "round_01" / "world.jsonl").read_bytes() == (
        plain / "benchmarks" / "round_01" / "world.jsonl"
    ).read_bytes()


@pytest.mark.parametrize("flag", ["limit_train_batches", "overfit_batches"])
def test_a_limit_of_batches_bounds_the_steps_of_every_round(flag: str, plain: Path, tmp_path: Path) -> None:
    run = fit(tmp_path, f"--trainer.{flag}=1")
    assert len(losses(run)) == 2
    assert losses(run)[0] == losses(plain)[0]
    assert [entry["round"] for entry in rounds(run)] == [0, 1, 2]


def test_a_limit_of_validation_batches_measures_base_and_rounds_on_the_same_items(tmp_path: Path) -> None:
    run = fit(tmp_path, "--trainer.limit_val_batches=1", "--data.benchmark_clips=4")
    asked = [
        [json.loads(line)["id"] for line in path.read_text().splitlines()]
        for path in sorted(run.glob("benchmarks/*/world.jsonl"))
    ]
    assert len(asked) == 3
    assert asked[0] == asked[1] == asked[2]
    assert 0 < len(asked[0]) < 12


@pytest.mark.parametrize("flag", ["limit_train_batches", "limit_val_batches"])
def test_a_share_of_less_than_one_batch_is_one_line(
    flag: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = arguments(tmp_path, f"--trainer.{flag}=0.001", "--data.clip_count=1", "--data.benchmark_clips=1")
    assert flag in complaint(given, capsys)


def test_a_run_may_go_without_evaluation(tmp_path: Path) -> None:
    run = fit(tmp_path, "--trainer.limit_val_batches=0", "--trainer.max_epochs=1")
    (entry,) = rounds(run)
    assert entry["round"] == 1
    assert not (run / "benchmarks").exists()


@pytest.mark.parametrize(
    "more",
    [
        ("--data.micro_batch_clips=1", "--data.generation_batch_clips=4"),
        pytest.param((), marks=pytest.mark.slow),
        pytest.param(("--model.reference=previous",), marks=pytest.mark.slow),
    ],
)
def test_the_first_loss_under_autocast_is_ln_2(more: tuple[str, ...], tmp_path: Path) -> None:
    """The reference is scored as the policy is. At the start both are the same model, whose loss is ln 2."""
    mixed = ("--trainer.precision=bf16-mixed", "--model.base.nf4=false")
    run = fit(tmp_path, *mixed, "--trainer.max_epochs=1", "--data.benchmark=null", *more)
    assert losses(run)[0] == pytest.approx(math.log(2), abs=1e-4)


def test_autocast_over_four_bits_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = arguments(tmp_path, "--trainer.precision=bf16-mixed", "--model.base.nf4=true")
    assert "model.base.dtype=bfloat16" in complaint(given, capsys)
    assert not any(tmp_path.iterdir())
