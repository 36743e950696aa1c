"""Runs on preference pairs from files: the same losses in every shape, scored once, resumed to the bit."""

from __future__ import annotations

import csv
import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch.utilities import rank_zero_only

from savi.cli.config import PACKAGED
from savi.cli.main import main
from savi.critique.builder import BuiltRound
from savi.critique.pairs import read_pairs
from savi.critique.reference_logps import FOLDER
from savi.models.session import VideoLMSession
from savi.record.earlier_methods import FROM_FILES
from savi.training.given_rounds import GivenRounds
from savi.training.module import SelfAlignment
from savi.world.clips import training_clips
from tests.refusals import refusal
from tools.faults.compare import untimed_rows
from tools.pair_shapes import SHAPES, Said, swift, trl, trl_plain, write_lines

PAIRS = Path(__file__).parents[2] / "experiments" / "pairs.yaml"
CLIPS = 5
COLORS = ("red", "green", "blue", "gray", "white")


class Kill(BaseException):
    """Ends a run in the middle, as a signal would."""


def said(clip: int, number: int, **more: Any) -> Said:
    """A pair about a rendered clip."""
    chosen, rejected = COLORS[(clip + number) % 5], COLORS[(clip + number + 1) % 5]
    video = f"videos/clip_{clip:05}.mp4"
    return Said(video, f"what color is thing {number}?", f"it is {chosen}", f"it is {rejected}", **more)


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    return training_clips(folder, CLIPS, seed=11)[0].path.parent


@pytest.fixture
def folder(videos: Path, tmp_path: Path) -> Path:
    """A folder with videos of its own."""
    shutil.copytree(videos, tmp_path / "videos")
    return tmp_path


def rows() -> list[Said]:
    """Three pairs of each clip, never two of one clip in a row."""
    return [said(clip, number) for number in range(3) for clip in range(CLIPS)]


def fit(file: Path | str, runs: Path, *more: str) -> Path:
    """A run on a file's pairs without an evaluation; its folder."""
    small = ["--model.base.nf4=false", "--data.benchmark=null", "--data.pairs_per_step=4"]
    given = [f"--config={PAIRS}", f"--data.pairs={file}", f"--runs={runs}", "--trainer.enable_progress_bar=false"]
    main(["fit", *given, *small, *more])
    return max((runs / "pairs").iterdir(), key=lambda run: run.stat().st_mtime)


def column(run: Path, name: str = "loss") -> list[float]:
    with (run / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row[name]]


def weights(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return state


def texts(run: Path, round_index: int = 0) -> list[tuple[Any, ...]]:
    pairs = read_pairs(run / "pairs" / f"round_{round_index:02d}.jsonl")
    return [(pair.clip, pair.prompt, pair.chosen, pair.rejected) for pair in pairs]


def refused(run: Path) -> dict[str, str]:
    """The rows that a run left out, by file and line."""
    found: dict[str, Any] = json.loads((run / "pairs" / "source.json").read_text())
    return {row["row"].rpartition("/")[2]: row["reason"] for row in found["refused"]}


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pairs the reference has scored, call by call."""
    counts: list[int] = []
    score = VideoLMSession.score_reference

    def counting(session: VideoLMSession, requests: Sequence[Any]) -> Any:
        counts.append(len(requests))
        return score(session, requests)

    monkeypatch.setattr(VideoLMSession, "score_reference", counting)
    return counts


def test_every_shape_gives_the_same_losses_and_clips_are_packed_whatever_the_order(folder: Path) -> None:
    two = "--trainer.max_epochs=2"
    first = fit(write_lines(folder / "swift.jsonl", [swift(pair) for pair in rows()]), folder / "runs", two)
    losses = column(first)
    assert len(losses) == 2 * CLIPS, "two epochs, a step for each clip's three pairs"
    assert losses[0] == pytest.approx(math.log(2), abs=1e-5), "policy and reference begin as one"
    assert losses[-1] < losses[0] - 0.02
    assert [clip for clip, *_ in texts(first)] == [f"videos/clip_{index:05}.mp4" for index in range(5) for _ in "abc"]
    for number, shape in enumerate((trl_plain, SHAPES["LLaMA-Factory"])):
        file = write_lines(folder / f"{number}.jsonl", [shape(pair) for pair in rows()])
        run = fit(file, folder / f"runs_{number}", two)
        assert texts(run) == texts(first)
        assert column(run) == pytest.approx(losses, abs=1e-6)
    # A run's rounds are pairs from files too.
    run = fit(first / "pairs" / "round_01.jsonl", folder / "runs_of_rounds", two)
    assert [pair[1:] for pair in texts(run)] == [pair[1:] for pair in texts(first)]
    assert column(run) == pytest.approx(losses, abs=1e-6)


def test_conversations_are_learned_as_they_are_said(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    turns = (("what is there?", "two things"),)
    pairs = [said(0, 0), said(0, 1, turns=turns), said(0, 2, system="Be brief."), said(1, 0, turns=turns)]
    run = fit(write_lines(folder / "pairs.jsonl", [trl(pair) for pair in pairs]), folder / "runs")
    assert texts(run) == texts(run, 2)
    assert [type(prompt) for _, prompt, *_ in texts(run)] == [str, tuple, tuple, tuple]
    assert column(run)[0] == pytest.approx(math.log(2), abs=1e-5)
    assert column(run)[-1] < column(run)[0] - 0.02
    assert "4 pairs about 2 clips (4 as TRL writes them)" in caplog.text


def test_each_kind_of_bad_row_is_named_and_the_others_are_learned(
    folder: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    (folder / "videos" / "broken.mp4").write_bytes(b"no video")
    bad = [
        {"prompt": "a row of no pair", "video": "videos/clip_00000.mp4"},
        trl_plain(Said("videos/none.mp4", "q", "a", "b")),
        trl_plain(Said("videos/broken.mp4", "q", "a", "b")),
        trl_plain(Said("videos/clip_00000.mp4", "q " * 500, "a", "b")),
        trl_plain(Said("videos/clip_00000.mp4", "q", "a", "a ")),
    ]
    good = [trl_plain(pair) for pair in rows()]
    run = fit(write_lines(folder / "pairs.jsonl", [*bad, *good]), folder / "runs", "--data.max_length=400")
    found = refused(run)
    reasons = [
        "its fields (prompt, video) are of no known shape",
        "there is no file at",
        "broken.mp4: ",
        "tokens, and at most 400 are read",
        "chosen and rejected are the same",
    ]
    assert set(found) == {f"pairs.jsonl, line {number}" for number in range(1, 6)}
    assert all(reason in found[f"pairs.jsonl, line {number}"] for number, reason in enumerate(reasons, 1))
    for number in range(1, 6):
        assert caplog.text.count(f"Left out: {folder}/pairs.jsonl, line {number}: ") == 1
    assert "Round 1: 15 pairs; filtered: undecodable 1, overlong 1\n" in caplog.text
    assert "5 of 20 rows of" in capsys.readouterr().out
    assert sorted(texts(run)) == sorted((one["video"], one["prompt"], one["chosen"], one["rejected"]) for one in good)
    entry = json.loads((run / "results.json").read_text())["rounds"][-1]
    assert (entry["pairs"], entry["filters"]) == (15, {"undecodable": 1, "overlong": 1})


def test_a_file_of_overlong_pairs_ends_the_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_lines(folder / "pairs.jsonl", [trl_plain(pair) for pair in rows()])
    line = refusal(lambda: fit(file, folder / "runs", "--data.max_length=20"), capsys)
    assert "round 1 has no pair to learn from; filtered: overlong 15. Raise data.max_length" in line


def test_the_reference_scores_a_pair_once_for_all_runs(
    folder: Path, scored: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_lines(folder / "pairs.jsonl", [trl_plain(pair) for pair in rows()])
    first = fit(file, folder / "runs")
    assert sum(scored) == 15, "once, and not in each of the three rounds"
    (kept,) = (folder / FOLDER).iterdir()
    scored.clear()
    again = fit(file, folder / "runs")
    assert scored == []
    assert column(again) == column(first)
    # One more pair, and another video under the name of an earlier one.
    shutil.copy(folder / "videos" / "clip_00000.mp4", folder / "videos" / "clip_00001.mp4")
    write_lines(file, [trl_plain(pair) for pair in (*rows(), said(0, 4))])
    fit(file, folder / "runs", "--trainer.max_epochs=1")
    assert sum(scored) == 4
    assert len(kept.read_text().splitlines()) == 19
    # A line that was damaged is scored again.
    kept.write_text("no JSON\n" + "\n".join(kept.read_text().splitlines()[1:]) + "\n")
    scored.clear()
    fit(file, folder / "runs", "--trainer.max_epochs=1")
    assert sum(scored) == 1
    # The log-probabilities of another model, or of other frames, are others.
    fit(file, folder / "runs", "--trainer.max_epochs=1", "--data.frames=16")
    assert len(list((folder / FOLDER).iterdir())) == 2


def test_a_folder_that_cant_be_written_leaves_the_log_probabilities_in_the_cache(
    folder: Path, scored: list[int], tmp_path: Path
) -> None:
    file = write_lines(folder / "pairs.jsonl", [trl_plain(pair) for pair in rows()[:5]])
    (folder / FOLDER).write_text("in the way")  # the tests run as root, whom no permission stops
    cache = f"--data.cache={tmp_path / 'cache'}"
    fit(file, folder / "runs", "--trainer.max_epochs=1", cache)
    assert len(list((tmp_path / "cache" / FOLDER).iterdir())) == 1
    scored.clear()
    fit(file, folder / "runs", "--trainer.max_epochs=1", cache)
    assert scored == []


def test_a_process_that_is_not_the_first_scores_a_pair_once_too(
    folder: Path, scored: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = GivenRounds.keep

    def as_another(rounds: GivenRounds, built: BuiltRound) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(rank_zero_only, "rank", 1)
            keep(rounds, built)

    monkeypatch.setattr(GivenRounds, "keep", as_another)
    fit(write_lines(folder / "pairs.jsonl", [trl_plain(pair) for pair in rows()[:5]]), folder / "runs")
    assert sum(scored) == 5, "once, and not in each of the three rounds"
    assert not (folder / FOLDER).exists(), "the first process alone writes"


def test_the_round_befores_model_scores_each_round_anew(folder: Path, scored: list[int]) -> None:
    file = write_lines(folder / "pairs.jsonl", [trl_plain(pair) for pair in rows()[:5]])
    run = fit(file, folder / "runs", "--model.reference=previous", "--trainer.max_epochs=2", "--data.pairs_per_step=1")
    assert sum(scored) == 10
    assert not (folder / FOLDER).exists()
    assert column(run)[5] == pytest.approx(math.log(2), abs=1e-5), "the second round begins at its own reference"


def test_sft_learns_the_chosen_responses_of_the_same_file(folder: Path) -> None:
    file = write_lines(folder / "pairs.jsonl", [trl_plain(pair) for pair in rows()])
    run = fit(file, folder / "runs", "--model.loss=sft")
    model = yaml.safe_load((run / "config.yaml").read_text())["model"]
    assert model["pairs"] == {"class_path": "savi.methods.FromFiles"}
    assert model["loss"]["class_path"] == "savi.objective.losses.SFT"
    kept = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["settings"]
    assert kept["model.pairs"] == FROM_FILES
    assert column(run) == pytest.approx(column(run, "nll_loss"))
    assert column(run)[-1] < 0.7 * column(run)[0]
    main(["export", str(run), f"--to={folder / 'export'}"])
    card = (folder / "export" / "README.md").read_text()
    assert "supervised fine-tuning on the preference pairs of pairs.jsonl" in card
    assert "| videos | 5 clips, 32 frames of each |" in card
    assert "criticism" not in card
    assert "videosavi" not in card


def test_a_clip_with_hundreds_of_pairs_fills_steps_of_the_usual_size(folder: Path) -> None:
    file = write_lines(folder / "pairs.jsonl", [trl_plain(said(0, number)) for number in range(30)])
    run = fit(file, folder / "runs", "--data.pairs_per_step=8", "--trainer.max_epochs=1")
    assert len(column(run)) == 4
    assert len(texts(run)) == 30


KILLS: dict[str, tuple[type, str, int]] = {
    "while the reference scores": (VideoLMSession, "score_reference", 2),
    "in the second round's steps": (SelfAlignment, "training_step", 7),
    "after a round's last step": (SelfAlignment, "on_save_checkpoint", 1),
}


@pytest.mark.parametrize(
    "moment",
    [
        "in the second round's steps",
        pytest.param("while the reference scores", marks=pytest.mark.slow),
        pytest.param("after a round's last step", marks=pytest.mark.slow),
    ],
)
def test_a_killed_run_is_resumed_to_the_bit(
    folder: Path, moment: str, monkeypatch: pytest.MonkeyPatch, scored: list[int]
) -> None:
    file = write_lines(folder / "pairs.jsonl", [trl_plain(pair) for pair in rows()])
    options = ["--data.generation_batch_clips=2", "--trainer.max_epochs=2"]
    whole = fit(file, folder / "whole", *options)
    shutil.rmtree(folder / FOLDER)
    scored.clear()
    owner, name, calls = KILLS[moment]
    counted = 0
    method = getattr(owner, name)

    def killed(*args: Any, **kwargs: Any) -> Any:
        nonlocal counted
        counted += 1
        if counted > calls:
            raise Kill
        return method(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, killed)
        with pytest.raises(Kill):
            fit(file, folder / "runs", *options)
    # To name the method that data.pairs selects is no other setting.
    run = fit(file, folder / "runs", *options, "--model.pairs=from_files", "--ckpt_path=last")
    assert run.name == "version_0"
    assert sum(scored) == 15, "what was scored before the kill is not scored again"
    assert column(run) == column(whole)
    assert all(torch.equal(weight, weights(run)[name]) for name, weight in weights(whole).items())
    assert untimed_rows(run / "metrics.csv") == untimed_rows(whole / "metrics.csv")
    for name in ("pairs/round_01.jsonl", "pairs/source.json", "traces/round_01.jsonl", "logps/round_01.jsonl"):
        assert (run / name).read_bytes() == (whole / name).read_bytes(), name


def test_a_run_is_resumed_with_its_own_pairs_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_lines(folder / "pairs.jsonl", [trl_plain(pair) for pair in rows()])
    fit(file, folder / "runs", "--trainer.max_epochs=1")
    moved = folder / "moved"
    shutil.copytree(folder / "videos", moved / "videos")
    shutil.copy(file, moved)
    fit(moved / "pairs.jsonl", folder / "runs", "--ckpt_path=last", "--trainer.max_epochs=2")
    write_lines(file, [trl_plain(pair) for pair in rows()[1:]])
    line = refusal(lambda: fit(file, folder / "runs", "--ckpt_path=last", "--trainer.max_epochs=3"), capsys)
    assert "has other pairs than" in line
    assert "put them back, or start a new run" in line


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("--model.chain.questions_per_aspect=3", "nobody asks, answers or criticizes"),
        ("--model.chain={critic: {kind: text}}", "nobody asks, answers or criticizes"),
        ("--model.filters.max_repeats=3", "pairs are taken as they are"),
        ("--data.clips=world", "the clips are those of the pairs"),
        ("--data.clip_count=4", "the clips are those of the pairs"),
        ("--data.labelled=world", "there is no readiness check"),
        ("--data.readiness_clips=3", "there is no readiness check"),
        ("--config=demo", "nobody asks, answers or criticizes"),
    ],
)
def test_settings_without_an_effect_are_refused(
    folder: Path, option: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refusal(lambda: fit(folder / "pairs.jsonl", folder / "runs", option), capsys)
    assert " has no effect with data.pairs: " in line
    assert reason in line
    assert not (folder / "runs").exists()


@pytest.mark.parametrize("option", ["--data.videos=.", "--data.max_length=100"])
def test_settings_of_own_pairs_need_them(folder: Path, option: str, capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(lambda: main(["fit", "--config=demo", f"--runs={folder / 'runs'}", option]), capsys)
    assert f"{option[2:].partition('=')[0]} goes with data.pairs" in line


def test_the_experiment_names_what_is_missing(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    line = refusal(lambda: main(["fit", "--config=pairs", f"--runs={folder / 'runs'}"]), capsys)
    assert line == "savi: data.pairs: your_pairs.jsonl: no such file or folder"


def test_the_experiment_for_published_checkpoints_has_the_models_settings_of_qlora(
    folder: Path, random_base: Path
) -> None:
    ours, theirs = (yaml.safe_load((PACKAGED / name).read_text()) for name in ("pairs_qlora.yaml", "qlora.yaml"))
    ours["model"]["base"].pop("path")
    assert ours["model"] == {name: settings for name, settings in theirs["model"].items() if name != "chain"}
    assert ours["data"].items() - {("pairs", "your_pairs.jsonl")} <= theirs["data"].items()
    file = write_lines(folder / "pairs.jsonl", [trl_plain(pair) for pair in rows()[:5]])
    options = [f"--data.pairs={file}", f"--runs={folder / 'runs'}", f"--model.base.path={random_base}"]
    options += ["--data.workers=0", "--trainer.max_epochs=1", "--trainer.enable_progress_bar=false"]
    options += [f"--data.cache={folder / 'cache'}"]
    # 8-bit AdamW is for GPUs.
    main(["fit", f"--config={PAIRS.parent / 'pairs_qlora.yaml'}", *options, "--model.optimizer.name=adamw"])
    (run,) = (folder / "runs" / "pairs_qlora").iterdir()
    assert column(run) == [pytest.approx(math.log(2), abs=1e-2)]
