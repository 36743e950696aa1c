"""The command line: experiment files, and one line for every user's mistake."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from savi.cli import main
from savi.cli.config import merge_experiments
from savi.types import SaviError

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
DEMO = EXPERIMENTS / "demo.yaml"


def complaint(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a wrong call ends with. Anything more than one line fails."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("savi:")]
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_experiment_file_is_understood(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Those in eval/ say what is measured, and stand behind an experiment.
    before = ["--config", str(DEMO)] if path.parent.name == "eval" else []
    with pytest.raises(SystemExit) as stop:
        main(["fit", *before, "--config", str(path), "--print_config"])
    assert stop.value.code == 0
    resolved = yaml.safe_load(capsys.readouterr().out)
    assert resolved["trainer"]["log_every_n_steps"] == 1  # of the defaults, whatever the file extends


def test_code_is_trusted_on_the_command_line_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, base = tmp_path / "theirs.yaml", tmp_path / "base.yaml"
    file.write_text(f"extends: {DEMO}\nmodel: {{base: {{trust_remote_code: true}}}}\n")
    base.write_text("{path: world, trust_remote_code: true}")
    for command in ("fit", "validate"):
        for given in ([f"--config={file}"], [f"--config={DEMO}", f"--model.base={base}"]):
            line = complaint([command, *given, f"--runs={tmp_path / 'runs'}"], capsys)
            assert "trust_remote_code is given on the command line alone" in line
    assert not (tmp_path / "runs").exists()
    with pytest.raises(SystemExit) as stop:
        main(["fit", f"--config={DEMO}", "--model.base.trust_remote_code=true", "--print_config"])
    assert stop.value.code == 0


def test_an_experiment_holds_what_it_extends_and_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"extends: {DEMO}\nmodel:\n  dpo:\n    beta: 0.3\ndata:\n  epochs_per_round: ${{trainer.max_epochs}}\n"
    )
    with pytest.raises(SystemExit):
        main(["fit", "--config", str(path), "--model.lora.r=5", "--print_config"])
    resolved = yaml.safe_load(capsys.readouterr().out)
    assert resolved["model"]["dpo"]["beta"] == 0.3
    assert resolved["model"]["lora"]["r"] == 5
    assert resolved["model"]["prompts"]["preset"] == "world"
    assert resolved["data"]["epochs_per_round"] == resolved["trainer"]["max_epochs"] == 4


def test_a_file_wins_over_those_it_extends(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x: {a: 1, b: 1, c: 1}\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\nx: {b: 2, c: 2}\n")
    (tmp_path / "c.yaml").write_text("extends: b.yaml\nx: {c: '${x.a}', d: '${oc.env:HOME}'}\n")
    target = tmp_path / "merged"
    target.mkdir()
    arguments = merge_experiments(["fit", f"--config={tmp_path / 'c.yaml'}", "--y", "1"], target)
    assert arguments == ["fit", "--config", str(target / "c.yaml"), "--y", "1"]
    merged = yaml.safe_load((target / "c.yaml").read_text())
    assert merged["x"] == {"a": 1, "b": 2, "c": "${fit.x.a}", "d": "${oc.env:HOME}"}


def test_a_circle_of_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: a.yaml\n")
    with pytest.raises(SaviError, match="extends itself"):
        merge_experiments(["fit", "--config", str(tmp_path / "a.yaml")], tmp_path)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("model.lora.rank=3", "model.lora.rank"),
        ("modle.lora.r=3", "modle.lora.r"),
        ("model.lora.r=0", "model.lora.r must be at least 1"),
        ("model.lora.r=many", "model.lora.r"),
        ("model.dpo.loss=dpo", "model.dpo.loss"),
        ("model.pairs.critic=another", "model.pairs"),
        ("model.pairs.critic={class_path: Another, init_args: {base: /nowhere/critic}}", "/nowhere/critic"),
        ("data.epochs_per_round=0", "data.epochs_per_round must be at least 1"),
        ("data.clips=/nowhere/at/all", "/nowhere/at/all"),
        ("data.benchmark=mmlu", "data.benchmark"),
        ("data.clip_count=null", "data.clip_count"),
        ("model.base.path=/nowhere/model", "/nowhere/model"),
        ("model.prompts.texts.answer=hello {quest}", "prompts.answer"),
        ("model.prompts.texts={answers: none at all}", "'answers' is no prompt"),
        ("ckpt_path=/nowhere/x.ckpt", "/nowhere/x.ckpt"),
        ("ckpt_path=last", "there is no run"),
        ("seed_everything=true", "seed_everything"),
        ("wandb=maybe", "wandb"),
    ],
)
def test_a_wrong_setting_is_one_line(
    setting: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["fit", "--config", str(DEMO), f"--runs={tmp_path}", "--data.benchmark=null", f"--{setting}"]
    assert said in complaint(arguments, capsys)


def test_wandb_without_a_login_is_one_line(tmp_path: Path) -> None:
    # A process of its own: wandb keeps what it was told about logins, and the machine may have one.
    env = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")} | {"HOME": str(tmp_path)}
    arguments = ["fit", "--config", str(DEMO), f"--runs={tmp_path}", "--data.clip_count=1", "--data.benchmark=null"]
    command = [sys.executable, "-m", "savi.cli", *arguments, "--wandb=online"]
    run = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert run.returncode == 2, run.stderr
    assert "Traceback" not in run.stderr
    last = run.stderr.splitlines()[-1]
    assert last.startswith("savi: --wandb online: ")
    assert "--wandb offline" in last


def test_a_wrong_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere.yaml" in complaint(["fit", "--config", "nowhere.yaml"], capsys)
    broken = tmp_path / "broken.yaml"
    broken.write_text("model: [")
    assert "not YAML" in complaint(["fit", "--config", str(broken)], capsys)


def test_a_text_only_checkpoint_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    arguments = ["fit", "--config", str(DEMO), f"--runs={tmp_path}", f"--model.base.path={tmp_path}"]
    assert "'llama'" in complaint([*arguments, "--data.clip_count=1", "--data.benchmark=null"], capsys)


def test_too_little_memory_is_one_line_that_says_what_to_lower(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has a total capacity ...")

    monkeypatch.setattr("savi.cli.stages.SaviCLI", run)
    line = complaint(["fit"], capsys)
    assert "model.base.nf4=true" in line
    assert line.endswith("(CUDA out of memory)")


def test_a_published_checkpoint_asks_for_videos_before_it_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["fit", "--config", str(EXPERIMENTS / "qwen2_5_vl_7b.yaml"), f"--runs={tmp_path}"]
    assert "data.clips: videos: no such file or folder" in complaint(arguments, capsys)


def test_a_family_without_video_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llava"}')
    arguments = ["fit", "--config", str(DEMO), f"--runs={tmp_path}", f"--model.base.path={tmp_path}"]
    assert "'llava', which takes no video" in complaint(
        [*arguments, "--data.clip_count=1", "--data.benchmark=null"], capsys
    )
