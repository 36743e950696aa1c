"""Resume and validate mean what they say: which checkpoint, which settings, and what every start leaves behind."""

from __future__ import annotations

import csv
import errno
import json
import os
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
import torch
import wandb
import yaml
from safetensors.torch import save_file

from savi.cli.main import main
from savi.critique.pairs import read_pairs
from savi.inference import ScoreRequest
from savi.record import earlier_methods
from savi.record.checkpoint_files import newest_checkpoint
from savi.record.metrics import read_rows
from savi.record.renamed import RENAMED, earlier_names
from savi.runs.read import load_aligned, read_run
from savi.training.module import SelfAlignment
from savi.training.self_critique import SelfCritique
from savi.video.decode import decode
from savi.world import BASE
from tests.quick_runs import QUICK
from tests.real_videos import real_videos
from tests.refusals import refusal
from tests.wandb_files import finished_run, history_of, tables_of

DEMO = Path(__file__).parent.parent / "experiments" / "demo.yaml"
SMALL = [
    *QUICK,
    "--data.clip_count=8",
    "--data.benchmark_clips=4",
    "--data.pairs_per_step=8",
]


class Kill(BaseException):
    """Ends a run in the middle, as a signal would."""


def savi(command: str, runs: Path | str, *more: str) -> None:
    main([command, f"--config={DEMO}", f"--runs={runs}", *SMALL, *more])


def fit(runs: Path | str, rounds: int, *more: str) -> Path:
    savi("fit", runs, f"--trainer.max_epochs={rounds}", *more)
    return Path(runs) / "demo" / "version_0"


def rounds_of(run: Path) -> list[dict[str, Any]]:
    rounds: list[dict[str, Any]] = json.loads((run / "results.json").read_text())["rounds"]
    return rounds


def contents(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def checkpoint_of(run: Path, name: str = "last.ckpt") -> dict[str, Any]:
    content: dict[str, Any] = torch.load(run / "checkpoints" / name, weights_only=True)
    return content


def policy_logps(run: Path) -> list[str]:
    return [path.read_text() for path in sorted((run / "logps").iterdir())]


def losses_by_step(run: Path) -> list[tuple[int, str]]:
    with (run / "metrics.csv").open() as file:
        return [(int(row["step"]), row["loss"]) for row in csv.DictReader(file) if row["loss"]]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two rounds that nothing disturbed."""
    return fit(tmp_path_factory.mktemp("finished"), 2)


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run after its first round."""
    return fit(tmp_path_factory.mktemp("half"), 1)


@pytest.fixture
def run(half: Path, tmp_path: Path) -> Path:
    """A copy of the run of one round, in another place."""
    shutil.copytree(half, tmp_path / "demo" / "version_0")
    return tmp_path / "demo" / "version_0"


# Which checkpoint


def test_a_moved_run_is_resumed_and_validated_from_its_newest_checkpoint(
    run: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit(tmp_path, 2, "--ckpt_path=last")
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == [
        "last.ckpt",
        "round_00.ckpt",
        "round_01.ckpt",
    ]
    weights = [checkpoint_of(one)["state_dict"] for one in (run, finished)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert losses_by_step(run) == losses_by_step(finished)
    assert policy_logps(run) == policy_logps(finished)
    monkeypatch.chdir(tmp_path)
    savi("validate", ".", "--ckpt_path=last")
    assert rounds_of(run / "validate")[-1]["round"] == 2


def test_a_run_with_the_files_of_an_older_version_is_read_by_what_is_in_them(
    run: Path, finished: Path, tmp_path: Path
) -> None:
    # What Lightning left where the run's folder was named by another path.
    shutil.copy(finished / "checkpoints" / "last.ckpt", run / "checkpoints" / "last-v1.ckpt")
    for name in ("last.ckpt", "round_00.ckpt", "last-v1.ckpt"):
        content = checkpoint_of(run, name)
        content.pop("settings")
        torch.save(content, run / "checkpoints" / name)
    savi("validate", tmp_path, "--ckpt_path=last")
    assert rounds_of(run / "validate")[-1]["round"] == 2
    newest = newest_checkpoint(run, at_end_of_round=True)
    assert newest is not None
    assert (newest.path.name, newest.rounds) == ("last-v1.ckpt", 2)


def test_a_kill_between_two_checkpoints_leaves_a_run_that_ends_as_if_nothing_had_happened(
    run: Path, half: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / "checkpoints" / "last.ckpt").unlink()
    fit(tmp_path, 2, "--ckpt_path=last")
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == [
        "last.ckpt",
        "round_00.ckpt",
        "round_01.ckpt",
    ]
    assert losses_by_step(run) == losses_by_step(finished)


def test_a_kill_before_the_last_rounds_second_checkpoint_leaves_no_older_one_behind(
    finished: Path, tmp_path: Path
) -> None:
    run = tmp_path / "demo" / "version_0"
    shutil.copytree(finished, run)
    shutil.copy(run / "checkpoints" / "round_00.ckpt", run / "checkpoints" / "last.ckpt")
    fit(tmp_path, 2, "--ckpt_path=last")
    last, expected = checkpoint_of(run), checkpoint_of(finished)
    assert last["global_step"] == expected["global_step"] > checkpoint_of(run, "round_00.ckpt")["global_step"]
    assert all(torch.equal(last["state_dict"][name], weight) for name, weight in expected["state_dict"].items())


def test_a_checkpoint_from_the_middle_of_a_round_is_validated_but_not_resumed(run: Path) -> None:
    content = checkpoint_of(run)
    content["loops"]["fit_loop"]["epoch_loop.batch_progress"]["is_last_batch"] = False
    content["global_step"] += 1
    torch.save(content, run / "checkpoints" / "middle.ckpt")
    resumed, validated = (newest_checkpoint(run, at_end_of_round=end) for end in (True, False))
    assert resumed is not None
    assert validated is not None
    assert (resumed.path.name, validated.path.name) == ("last.ckpt", "middle.ckpt")


def test_a_full_disk_leaves_the_last_good_checkpoint(
    run: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(run / "checkpoints")
    fsync = os.fsync

    def full(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name.endswith(".ckpt.tmp"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        line = refusal(lambda: fit(tmp_path, 2, "--ckpt_path=last"), capsys)
    assert "round_01.ckpt: the checkpoint can't be written: No space left on device" in line
    assert contents(run / "checkpoints") == before
    assert losses_by_step(fit(tmp_path, 2, "--ckpt_path=last")) == losses_by_step(finished)


def test_a_run_whose_checkpoints_are_gone_is_not_begun_again(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(run / "checkpoints")
    before = contents(run)
    line = refusal(lambda: fit(tmp_path, 2, "--ckpt_path=last"), capsys)
    assert "finished rounds and no checkpoint" in line
    assert contents(run) == before


def bomb(path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(path.with_name("exploded")),))

    path.write_bytes(pickle.dumps({"state_dict": Bomb()}))


def torch_bomb(path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(path.with_name("exploded")),))

    torch.save({"state_dict": Bomb()}, path)


BROKEN: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("not a checkpoint"),
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "bomb": bomb,
    "torch bomb": torch_bomb,
    "another project's": lambda path: torch.save({"state_dict": {}, "epoch": 1, "global_step": 2}, path),
    "a tensor": lambda path: torch.save(torch.zeros(2), path),
    "safetensors": lambda path: save_file({"weight": torch.zeros(2)}, path),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_or_foreign_checkpoint_is_one_line(
    kind: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run / "checkpoints" / "last.ckpt"
    BROKEN[kind](path)
    before = contents(tmp_path)
    for command, checkpoint in (("validate", str(path)), ("validate", "last"), ("fit", "last")):
        line = refusal(lambda: savi(command, tmp_path, f"--ckpt_path={checkpoint}"), capsys)  # noqa: B023 (called at once)
        assert "last.ckpt is no checkpoint of savi" in line
    assert "round_00.ckpt (round 1) is the newest of the others" in line
    assert contents(tmp_path) == before
    assert not (run / "checkpoints" / "exploded").exists()


def test_a_checkpoint_brings_no_settings_into_a_command(run: Path, tmp_path: Path) -> None:
    content = checkpoint_of(run)
    content["hyper_parameters"] = {"base": {"path": "elsewhere", "trust_remote_code": True}}
    torch.save(content, run / "checkpoints" / "last.ckpt")
    savi("validate", tmp_path, f"--ckpt_path={run / 'checkpoints' / 'last.ckpt'}")
    (config,) = tmp_path.glob("demo/version_1/validate/config.yaml")
    assert yaml.safe_load(config.read_text())["model"]["base"] == {
        "path": "world",
        "dtype": "float32",
        "nf4": False,
        "thought_tokens": None,
        "gradient_checkpointing": False,
        "cuda_graphs": False,
        "trust_remote_code": False,
    }


# Which settings

IDENTITY = {
    "--seed_everything=5": "seed_everything 0, not 5",
    "--model.base.dtype=bfloat16": "model.base.dtype float32, not bfloat16",
    "--model.base.nf4=true": "model.base.nf4 False, not True",
    "--model.lora.r=4": "model.lora.r 8, not 4",
    "--model.lora.alpha=64": "model.lora.alpha 16, not 64",
    "--model.optimizer.name=paged_adamw_8bit": "model.optimizer.name adamw, not paged_adamw_8bit",
    "--model.pairs.critic=text": "model.pairs VideoSAVi(aspects=['spatial', 'temporal']), not VideoSAVi(critic=TextO",
    "--model.chain.answer.temperature=0.5": "model.chain.answer.temperature 1.0, not 0.5",
    "--model.filters.max_repeats=4": "model.filters.max_repeats 3, not 4",
    "--model.prompts.preset=videosavi-1": "model.prompts.preset world, not videosavi-1",
    "--model.reference=previous": "model.reference base, not previous",
    "--data.frames=16": "data.frames 32, not 16",
    "--data.max_pixels=5000": "data.max_pixels None, not 5000",
}


@pytest.mark.parametrize("setting", IDENTITY)
def test_a_setting_of_the_runs_identity_is_refused_on_resume(
    setting: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents(tmp_path)
    line = refusal(lambda: fit(tmp_path, 2, "--ckpt_path=last", setting), capsys)
    assert f"{run} was begun with {IDENTITY[setting]}" in line
    assert contents(tmp_path) == before


def test_a_run_with_earlier_names_of_settings_is_resumed_to_the_same_end(
    half: Path, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "demo" / "version_0"
    shutil.copytree(half, run)
    with_earlier_names(run)
    metrics = run / "metrics.csv"
    metrics.write_text(re.sub(r"filters/\w+", lambda name: name[0].replace("_", " "), metrics.read_text()))
    assert "filters/unchanged revision" in metrics.read_text()
    assert yaml.safe_load((run / "config.yaml").read_text())["model"]["chain"]["critic"]["who"] == "itself"
    line = refusal(lambda: fit(tmp_path, 2, "--ckpt_path=last", "--model.optimizer.name=paged_adamw_8bit"), capsys)
    assert "was begun with model.optimizer.name adamw, not paged_adamw_8bit" in line
    savi("validate", tmp_path, "--ckpt_path=last")
    fit(tmp_path, 2, "--ckpt_path=last")
    assert "From round 2 on, trainer.max_epochs 2 (was 1)" in caplog.messages
    assert losses_by_step(run) == losses_by_step(finished)
    assert read_rows(metrics)[0].keys() == read_rows(finished / "metrics.csv")[0].keys()
    assert " " not in metrics.read_text().splitlines()[0]
    assert read_run(run).config["model"].keys() == read_run(finished).config["model"].keys()


def test_a_round_that_an_earlier_version_began_is_resumed_under_its_key(
    run: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys had the size of batches in them, whoever criticizes."""

    def kill(*_: Any) -> None:
        raise Kill

    with monkeypatch.context() as patches:
        patches.setattr("savi.alignment.round_key.round_key", lambda *_: ANY)  # every round is one of those
        patches.setattr(SelfAlignment, "training_step", kill)
        with pytest.raises(Kill):
            fit(tmp_path, 2, "--ckpt_path=last")
    keys = [json.loads(path.read_text())["key"] for path in sorted((run / "pairs").glob("*.progress.json"))]
    assert keys[0] != keys[1]
    fit(tmp_path, 2, "--ckpt_path=last")
    assert losses_by_step(run) == losses_by_step(finished)


def with_earlier_names(run: Path) -> None:
    """Write the settings of a run's folder as versions before the renaming did."""
    config = run / "config.yaml"
    settings = yaml.safe_load(config.read_text())
    settings["model"]["chain"] |= earlier_methods.DEFAULTS
    settings["model"]["pairs"] = None
    config.write_text(yaml.safe_dump(earlier_names(settings, "")))
    for path in (run / "checkpoints").glob("*.ckpt"):
        content = checkpoint_of(run, path.name)
        defaults = earlier_methods.DEFAULTS | earlier_methods.DEFAULTS["critic"]
        flags = {key: defaults[name] for name, key in earlier_methods.KEYS.items()}
        earlier = content["settings"] | {"model.pairs": None} | flags
        content["settings"] = {earlier_key(key): earlier_names(value, key) for key, value in earlier.items()}
        torch.save(content, path)


def earlier_key(key: str) -> str:
    pairs = ((old, new) for old, new in RENAMED.items() if f"{key}.".startswith(f"{new}."))
    return next((old + key.removeprefix(new) for old, new in pairs), key)


def test_the_settings_of_an_older_run_are_those_of_its_config(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in (run / "checkpoints").glob("*.ckpt"):
        content = checkpoint_of(run, path.name)
        content.pop("settings")
        torch.save(content, path)
    for command in ("fit", "validate"):
        line = refusal(lambda: savi(command, tmp_path, "--ckpt_path=last", "--model.lora.alpha=64"), capsys)  # noqa: B023 (called at once)
        assert "model.lora.alpha 16, not 64" in line
    line = refusal(lambda: fit(tmp_path, 2, "--ckpt_path=last", "--model.filters.max_repeats=4"), capsys)
    assert "model.filters.max_repeats 3, not 4" in line


@pytest.mark.parametrize(
    "setting", ["--model.lora.alpha=64", "--model.base.nf4=true", "--model.prompts.preset=videosavi-1"]
)
def test_validate_measures_the_model_that_was_trained(
    setting: str, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = tmp_path / "elsewhere" / "model.ckpt"
    alone.parent.mkdir()
    shutil.copy(run / "checkpoints" / "last.ckpt", alone)
    before = contents(tmp_path)
    for checkpoint in ("last", alone):
        line = refusal(lambda: savi("validate", tmp_path, f"--ckpt_path={checkpoint}", setting), capsys)  # noqa: B023 (called at once)
        assert f"was trained with {IDENTITY[setting]}" in line
    assert contents(tmp_path) == before


def test_validate_needs_no_setting_of_the_training(run: Path, tmp_path: Path) -> None:
    savi("validate", tmp_path, "--ckpt_path=last", "--model.dpo.beta=0.3", "--data.frames=16", "--data.clip_count=3")
    assert rounds_of(run / "validate")[-1]["round"] == 1


def test_what_may_change_is_applied_from_the_next_round_on_and_recorded(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    more = ["--model.optimizer.lr=0.01", "--model.optimizer.weight_decay=0.1", "--model.dpo.beta=0.2"]
    fit(tmp_path, 2, "--ckpt_path=last", *more, "--data.epochs_per_round=2")
    assert "From round 2 on, model.dpo.beta 0.2 (was 1.0); model.optimizer.lr 0.01 (was 0.0005)" in caplog.text
    (group,) = checkpoint_of(run)["optimizer_states"][0]["param_groups"]
    assert (group["lr"], group["initial_lr"], group["weight_decay"]) == (0.01, 0.01, 0.1)
    (before,) = checkpoint_of(run, "round_00.ckpt")["optimizer_states"][0]["param_groups"]
    assert (before["lr"], before["weight_decay"]) == (0.0005, 0.0)
    entries = rounds_of(run)
    names = ("model.optimizer.lr", "model.dpo.beta", "data.epochs_per_round")
    assert [[entry["settings"][name] for name in names] for entry in entries[1:]] == [[0.0005, 1.0, 1], [0.01, 0.2, 2]]
    steps = [len(list(filter(None, (row[1] for row in losses_by_step(run)))))]
    assert steps == [checkpoint_of(run)["global_step"]]


def test_a_run_keeps_the_rounds_that_it_has(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(finished, tmp_path / "demo" / "version_0")
    line = refusal(lambda: fit(tmp_path, 1, "--ckpt_path=last"), capsys)
    assert "trainer.max_epochs 1" in line
    assert "has 2 rounds already" in line


@pytest.mark.slow  # the run itself is moved above
def test_a_base_and_clips_that_were_moved_are_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clips, moved = tmp_path / "clips", tmp_path / "moved"
    clips.mkdir()
    for video in real_videos():
        shutil.copy(video, clips / video.name)
    own = ["--data.clip_count=null", "--data.benchmark=null"]
    fit(tmp_path, 1, f"--data.clips={clips}", *own)
    clips.rename(moved)
    shutil.copytree(BASE, tmp_path / "base")
    own += ["--ckpt_path=last", f"--model.base.path={tmp_path / 'base'}"]
    run = fit(tmp_path, 2, f"--data.clips={moved}", *own)
    assert [entry["round"] for entry in rounds_of(run)] == [1, 2]
    shutil.copy(next(moved.iterdir()), moved / "another.mp4")
    before = contents(run)
    line = refusal(lambda: fit(tmp_path, 3, f"--data.clips={moved}", *own), capsys)
    assert f"data.clips: {moved} gives other clips than" in line
    assert "clip 1 is 'another'" in line
    assert contents(run) == before


def test_another_base_is_refused(
    run: Path, random_base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in ("fit", "validate"):
        before = contents(tmp_path)
        call = ["--ckpt_path=last", f"--model.base.path={random_base}", "--trainer.max_epochs=2"]
        assert "belongs to another model" in refusal(lambda: savi(command, tmp_path, *call), capsys)  # noqa: B023 (called at once)
        assert contents(tmp_path) == before


def test_a_model_with_the_bases_embeddings_and_other_weights_is_another_base(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["export", str(run), f"--to={tmp_path / 'merged'}", "--merged"])
    call = ["--ckpt_path=last", f"--model.base.path={tmp_path / 'merged'}", "--trainer.max_epochs=2"]
    for command in ("fit", "validate"):
        assert "it is another model" in refusal(lambda: savi(command, tmp_path, *call), capsys)  # noqa: B023 (called at once)


# What a start leaves behind


def test_every_start_leaves_its_own_settings(run: Path, tmp_path: Path) -> None:
    first = (run / "config.yaml").read_bytes()
    fit(tmp_path, 1, "--ckpt_path=last", "--model.optimizer.lr=0.01")
    fit(tmp_path, 1, "--ckpt_path=last", "--model.optimizer.lr=0.02")
    assert (run / "config.yaml").read_bytes() == first
    rates = [yaml.safe_load((run / f"config_{n:02d}.yaml").read_text())["model"]["optimizer"]["lr"] for n in (2, 3)]
    assert rates == [0.01, 0.02]
    savi("validate", tmp_path, "--ckpt_path=last")
    savi("validate", tmp_path, "--ckpt_path=last", "--data.benchmark_clips=2")
    clips = [
        yaml.safe_load((run / "validate" / name).read_text())["data"] for name in ("config.yaml", "config_02.yaml")
    ]
    assert [settings["benchmark_clips"] for settings in clips] == [4, 2]
    assert (run / "config.yaml").read_bytes() == first


def test_a_refused_first_start_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "base").mkdir()
    refusal(lambda: fit(tmp_path / "runs", 1, f"--model.base.path={tmp_path / 'base'}"), capsys)
    refusal(lambda: savi("validate", tmp_path / "runs", f"--model.base.path={tmp_path / 'base'}"), capsys)
    assert not list((tmp_path / "runs").glob("*"))


def test_validating_a_file_makes_no_run_that_a_resume_would_take(run: Path, half: Path, tmp_path: Path) -> None:
    savi("validate", tmp_path, f"--ckpt_path={half / 'checkpoints' / 'last.ckpt'}")
    assert (tmp_path / "demo" / "version_1" / "validate").is_dir()
    fit(tmp_path, 1, "--ckpt_path=last")
    assert (run / "config_02.yaml").is_file()


def test_a_round_that_is_cut_short_is_validated_and_then_trained_again(
    run: Path, finished: Path, tmp_path: Path
) -> None:
    steps = checkpoint_of(run)["global_step"] + 1
    fit(tmp_path, 2, "--ckpt_path=last", f"--trainer.max_steps={steps}")
    newest = newest_checkpoint(run, at_end_of_round=False)
    assert newest is not None
    assert (newest.path.name, newest.step, newest.ends_round) == ("unfinished.ckpt", steps, False)
    fit(tmp_path, 2, "--ckpt_path=last", "--trainer.max_steps=-1")
    assert losses_by_step(run) == losses_by_step(finished)
    assert policy_logps(run) == policy_logps(finished)
    assert not newest.path.exists()


def test_what_the_policy_gave_to_the_pairs_of_a_step_is_what_plain_scoring_gives_before_it(
    half: Path, finished: Path
) -> None:
    """The first step of the second round has the model that the first round ended with."""
    first, second = (
        [json.loads(line) for line in (finished / "logps" / f"round_{number:02d}.jsonl").read_text().splitlines()]
        for number in range(2)
    )
    pairs = read_pairs(finished / "pairs" / "round_01.jsonl")
    assert [record["clip"] for record in second] == [pair.clip for pair in pairs]
    begins = checkpoint_of(half)["global_step"]
    taken = [step for record in first + second for step in record["steps"]]
    assert sorted(set(taken)) == [step for step, _ in losses_by_step(finished)]
    assert (max(taken[: len(first)]), min(taken[len(first) :])) == (begins - 1, begins)

    lm = load_aligned(read_run(half))
    for pair, record in zip(pairs, second, strict=True):
        if record["steps"] == [begins]:
            frames = decode(Path(pair.video), 32)
            asked = [ScoreRequest(0, pair.prompt, (pair.chosen, pair.rejected))]
            given = record["chosen_logps"] + record["rejected_logps"]
            assert given == pytest.approx(lm.score_one_by_one([frames], asked).logps.tolist(), abs=1e-4)
            assert given != pytest.approx([pair.reference_chosen_logp, pair.reference_rejected_logp], abs=1e-3)


def test_a_kill_before_the_first_step_leaves_the_metrics(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (run / "metrics.csv").read_bytes()

    def killed(*_: Any) -> None:
        raise Kill

    monkeypatch.setattr(SelfCritique, "build_round", killed)
    with pytest.raises(Kill):
        fit(tmp_path, 2, "--ckpt_path=last")
    assert (run / "metrics.csv").read_bytes() == before


def test_a_line_of_the_metrics_that_a_kill_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("loss,step\r\n0.5,0\r\n0.4,1\r\n0.3,2")
    assert [row["step"] for row in read_rows(path)] == ["0", "1"]


@pytest.mark.slow  # it is in the metrics once, too, below
def test_every_step_is_in_wandb_once_after_a_kill(
    run: Path, half: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(SelfAlignment, "training_step", killed_at(checkpoint_of(run)["global_step"] + 1))
        with pytest.raises(Kill):
            fit(tmp_path, 2, "--ckpt_path=last", "--wandb=offline")
    wandb.finish()
    fit(tmp_path, 2, "--ckpt_path=last", "--wandb=offline")
    wandb.finish()
    records = finished_run(run / "wandb")
    logged = [(row["trainer/global_step"], json.dumps(row["loss"])) for row in history_of(records) if "loss" in row]
    assert logged == losses_by_step(finished)
    axes = {record.metric.name: record.metric.step_metric for record in records}
    assert (axes["loss"], axes["val/accuracy"]) == ("trainer/global_step", "round")
    kinds = {"pairs": (0, 1), "filtered": (0, 1), "replies": (1, 2)}
    assert set(tables_of(records)) == {
        f"tables/{kind}/round_{index:02d}" for kind, rounds in kinds.items() for index in rounds
    }
    assert len(list((run / "wandb" / "superseded").iterdir())) == 1


def killed_at(step: int) -> Callable[..., None]:
    """A training step that ends the run at an optimizer step."""
    take = SelfAlignment.training_step

    def training_step(module: SelfAlignment, *arguments: Any) -> None:
        if module.global_step == step:
            raise Kill
        take(module, *arguments)

    return training_step


def test_every_step_is_in_the_metrics_once_after_a_kill(
    run: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = checkpoint_of(run)["global_step"]
    with monkeypatch.context() as patch:
        patch.setattr(SelfAlignment, "training_step", killed_at(taken + 1))
        with pytest.raises(Kill):
            fit(tmp_path, 2, "--ckpt_path=last")
    assert [step for step, _ in losses_by_step(run)] == list(range(taken + 1))
    fit(tmp_path, 2, "--ckpt_path=last")
    assert losses_by_step(run) == losses_by_step(finished)
    assert policy_logps(run) == policy_logps(finished)
    columns = [(path / "metrics.csv").read_text().splitlines()[1:] for path in (run, finished)]
    assert len(columns[0]) == len(columns[1])
