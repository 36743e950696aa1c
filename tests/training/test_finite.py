"""Values that aren't finite end a run in one line, before the adapter, a checkpoint or a file takes them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningModule, Trainer

from savi.cli.main import main
from savi.errors import NonFiniteError
from savi.inference import GenerateRequest, ScoreRequest
from savi.models.generate import draw_tokens
from savi.record.failure import FAILURE, read_failure
from savi.types import Sampling
from tests.miniatures import build_lm, noise_clip
from tests.quick_runs import QUICK
from tests.test_run import DEMO, assert_same_run

SMALL = [
    *QUICK,
    "--data.clip_count=8",
    "--data.benchmark_clips=3",
    "--data.micro_batch_clips=4",
    "--data.pairs_per_step=8",
    "--trainer.max_epochs=2",
]


class Overflow(Callback):
    """Makes the adapter's weights so large that what the model gives overflows, at one moment of one round.

    moment: the hook.
    """

    def __init__(self, moment: str, round: int) -> None:
        self.round = round
        setattr(self, moment, self._strike)

    def _strike(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.current_epoch + 1 == self.round:
            for parameter in pl_module.parameters():
                if parameter.requires_grad:
                    parameter.data.fill_(1e30)


def overflow(moment: str, round: int) -> str:
    settings = {"moment": moment, "round": round}
    given = {"class_path": "tests.training.test_finite.Overflow", "init_args": settings}
    return f"--trainer.callbacks+={json.dumps(given)}"


def arguments(runs: Path, *more: str) -> list[str]:
    return ["fit", "--config", str(DEMO), f"--runs={runs}", *SMALL, *more]


def line_of(given: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        main(given)
    assert stop.value.code == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("savi:")]
    assert "model.optimizer.lr" in line, "it says what to try"
    assert "model.base.dtype" in line
    return line


def assert_without_nan(run: Path) -> None:
    """No file that the run has written holds a number that isn't one."""
    files = [*run.rglob("*.json"), *run.rglob("*.jsonl"), *run.rglob("*.csv")]
    for path in [path for path in files if path.name != FAILURE]:  # whose words may name one
        text = path.read_text()
        assert not {"nan", "inf", "NaN", "Infinity"} & set(text.replace(":", " ").replace(",", " ").split()), path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An undisturbed run of two rounds."""
    runs = tmp_path_factory.mktemp("whole")
    main(arguments(runs))
    return runs / "demo" / "version_0"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--data.pairs_per_step=4"], "Round 1, step 2: the loss is nan (clip"),
        (["--data.pairs_per_step=32", "--data.benchmark=null"], "Round 1, after its last step 1: clip clip_0"),
    ],
    ids=["several_steps", "one_step_and_no_benchmark"],
)
def test_a_learning_rate_far_too_high_ends_the_run_in_one_line(
    more: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in line_of(arguments(tmp_path, "--model.optimizer.lr=1e30", *more), capsys)
    run = tmp_path / "demo" / "version_0"
    assert_without_nan(run)
    assert not (run / "adapter").exists()
    assert not list(run.rglob("*.ckpt"))
    if (run / "results.json").exists():
        assert [entry["round"] for entry in json.loads((run / "results.json").read_text())["rounds"]] == [0]


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        ("on_train_batch_start", "Round 2, step"),
        pytest.param("on_validation_start", "Round 2, its evaluation: clip ", marks=pytest.mark.slow),
    ],
)
def test_the_last_good_checkpoint_is_left_and_the_run_resumes_from_it_to_the_same_end(
    moment: str, said: str, whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "demo" / "version_0"
    assert said in line_of(arguments(tmp_path, overflow(moment, 2)), capsys)
    assert said in (read_failure(run) or "")
    assert_without_nan(run)
    state = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["epoch"] == 0
    assert all(weights.isfinite().all() and weights.abs().max() < 1 for weights in state["state_dict"].values())
    main(arguments(tmp_path, "--ckpt_path=last"))
    assert read_failure(run) is None
    assert_same_run(whole, run)


def test_pairs_are_not_built_by_a_model_whose_numbers_overflow(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The adapter breaks behind the round's last check: the next round finds it, on a GPU before an index of -1."""
    said = line_of(arguments(tmp_path, overflow("on_train_epoch_end", 1), "--data.benchmark=null"), capsys)
    assert "Round 2, its pairs: clip clip_0" in said
    assert_without_nan(tmp_path / "demo" / "version_0")


def test_a_base_whose_numbers_overflow_is_named_before_any_round(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = line_of(arguments(tmp_path, overflow("on_sanity_check_start", 1)), capsys)
    assert "The base's evaluation: clip dev-v3-0/clip_0" in line
    assert not (tmp_path / "demo" / "version_0" / "results.json").exists()


@pytest.mark.parametrize("sampling", [Sampling(temperature=0.0), Sampling(temperature=1.0, top_p=0.9)])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_draw_from_broken_logits_is_an_index_that_exists(sampling: Sampling, value: float) -> None:
    logits = torch.full((3, 7), value)
    uniforms = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    drawn = draw_tokens(logits, uniforms, sampling, torch.tensor([0, 6]))
    assert ((drawn >= 0) & (drawn < 7)).all()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_broken_model_gives_neither_replies_nor_scores(random_base: Path, temperature: float) -> None:
    lm = build_lm(random_base)
    clips, frames = zip(noise_clip(0), noise_clip(1), strict=True)
    session = lm.encode(clips, frames)
    for parameter in lm.peft_model.parameters():
        if parameter.requires_grad:
            parameter.data.fill_(1e30)
    with pytest.raises(NonFiniteError, match="clip noise_1: the model gives a log-probability of nan"):
        session.generate([GenerateRequest(1, "what?")], Sampling(temperature=temperature, max_new_tokens=4))
    question = ScoreRequest(1, "what?", ("this", "that"))
    with torch.no_grad(), pytest.raises(NonFiniteError, match="clip noise_1"):
        session.score([question])
    assert session.score_reference([question]).logps.isfinite().all(), "the base itself is sound"
