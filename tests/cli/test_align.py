"""`savi.align`: what `savi fit` does, from Python."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

import savi
from savi.cli import main
from savi.cli.align import align
from savi.world.clips import training_clips
from tests.quick_runs import QUICK

README = Path(__file__).parents[2] / "README.md"
SMALL = {
    "data": {"benchmark": None, "pairs_per_step": 8, "readiness_clips": 1},
    "model.base.nf4": False,
    "trainer.max_epochs": 1,
    "trainer.enable_progress_bar": False,
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    training_clips(folder, 4, seed=0)
    return folder


def test_the_readmes_lines_align_as_the_command_does_and_resume(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = next(one for one in README.read_text().split("```python\n") if "savi.align(" in one).partition("```")[0]
    video = next(clips.rglob("*.mp4"))
    for name, here in (('"videos"', repr(clips)), ("clip.mp4", str(video)), ('"trainer.max_epochs": 2', "**SMALL")):
        assert name in code
        code = code.replace(name, here)
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        exec(code, known := {"savi": savi, "PosixPath": Path, "SMALL": SMALL})  # noqa: S102 (the page's own lines)
        assert torch.get_num_threads() == threads + 1  # the demo's own is one
    finally:
        torch.set_num_threads(threads)
    options = ["--data.benchmark=null", "--data.pairs_per_step=8", "--trainer.max_epochs=1", "--model.dpo.beta=0.5"]
    main(["fit", f"--data.clips={clips}", "--runs=command", *QUICK, *options])
    run, other = (Path(folder) / "version_0" for folder in ("lightning_logs/mine", "command/demo"))
    for name in ("pairs/round_00.jsonl", "adapter/adapter_model.safetensors"):
        assert (run / name).read_bytes() == (other / name).read_bytes(), name
    reply = savi.load_run(other).ask(video, "what happens first ?")
    assert f"{run} {reply}" in capsys.readouterr().out
    longer = {**SMALL, "trainer.max_epochs": 2, "model.dpo.beta": 0.5}
    model = savi.align(clips=clips, name="mine", settings=longer, resume=True)
    assert model.run.folder == known["model"].run.folder == run
    assert [entry["round"] for entry in model.run.results["rounds"]] == [1, 2]


def test_mistakes_are_savi_errors(clips: Path, tmp_path: Path) -> None:
    for given, said in (
        ({"settings": {"model.dpo.betas": 1}}, "betas"),
        ({"settings": {"model.dpo.beta": -1.0}}, "model.dpo.beta must be above 0"),
        ({"settings": {"model.pairs": object()}}, "model.pairs: a setting is"),
        ({"clips": tmp_path / "nothing"}, "no such file or folder"),
        ({"experiment": "nothing"}, "experiments with a name: demo, pairs, pairs_qlora, qlora"),
        ({"resume": True}, "there is no run in"),
        ({"clips": None, "pairs": tmp_path / "none.jsonl"}, "none.jsonl: no such file"),
        ({"settings": {"seed_everything": True}}, "seed_everything must be a number"),
    ):
        with pytest.raises(savi.SaviError, match=re.escape(said)):
            savi.align(**{"clips": clips, "runs": tmp_path} | given)  # type: ignore[arg-type]  # any of them
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(savi.SaviError, match="file"):
        savi.align(clips=clips, runs=blocked, settings=SMALL)


@pytest.mark.parametrize(
    ("given", "experiments"),
    [
        ({}, ["demo"]),
        ({"base": "world", "pairs": "a.jsonl"}, ["pairs"]),
        ({"base": "owner/model"}, ["qlora"]),
        ({"base": Path("folder"), "pairs": "a.jsonl"}, ["pairs_qlora"]),
        ({"base": "owner/model", "experiment": ["demo", Path("mine.yaml")]}, ["demo", "mine.yaml"]),
    ],
)
def test_the_experiment_follows_from_the_base_and_the_pairs(
    given: dict[str, Any], experiments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("savi.cli.align.run", lambda arguments: asked.extend(arguments))
    monkeypatch.setattr("savi.cli.align.load_run", lambda *_, **__: None)
    align(**given)
    assert [word.removeprefix("--config=") for word in asked if word.startswith("--config=")] == experiments
