"""The door for Python: a run's model asked, its scores, and pairs built without training."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

import savi
from savi.cli import main
from savi.critique.question_maker import QuestionMaker
from savi.inference import GenerateRequest, ScoreRequest
from savi.methods import BestOfN
from savi.runs.ask import read_frames
from savi.runs.build_pairs import build_pairs
from savi.types import Clip, SaviError
from savi.video.decode import UndecodableClip
from tests.quick_runs import QUICK
from tests.runs.conftest import DEMO
from tests.runs.test_export import QUESTION


@pytest.fixture(scope="module")
def model(run: Path) -> savi.AlignedModel:
    return savi.load_run(run)


def test_importing_savi_imports_no_library() -> None:
    code = (
        "import sys, savi\n"
        "heavy = {'torch', 'lightning', 'numpy', 'yaml', 'transformers', 'av'}\n"
        "print(sorted(heavy & set(sys.modules)), hasattr(savi, 'nothing'), 'load_run' in dir(savi) + savi.__all__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] False True"


def test_scores_are_those_of_plain_rows_and_of_the_reply_itself(model: savi.AlignedModel, video: Path) -> None:
    responses = [model.ask(video, QUESTION), "right", "a red square moves to the left"]
    scores = model.score(str(video), QUESTION, responses)
    frames = read_frames(model.run, video)
    prompt = model.run.prompts.answer.format(question=QUESTION)
    plain = model.lm.score_one_by_one([frames], [ScoreRequest(0, prompt, tuple(responses))])
    assert scores == pytest.approx(plain.logps.tolist(), abs=1e-4)
    session = model.lm.encode([Clip("clip", video)], [frames])
    (reply,) = session.generate([GenerateRequest(0, prompt)], replace(model.run.greedy, max_new_tokens=64))
    assert reply.finished
    assert model.score(video, QUESTION, [reply.text]) == pytest.approx([reply.logp], abs=1e-3)


def test_no_response_has_no_score_and_a_text_is_no_list(model: savi.AlignedModel, video: Path) -> None:
    assert model.score(video, QUESTION, []) == []
    with pytest.raises(SaviError, match="a list of texts"):
        model.score(video, QUESTION, "right")
    with pytest.raises(UndecodableClip):
        model.score(video.with_name("none.mp4"), QUESTION, ["right"])


@pytest.fixture(scope="module")
def first_round(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one round that can have another: its model still talks."""
    runs = tmp_path_factory.mktemp("rounds")
    main(["fit", *_small(runs, rounds=1)])
    return runs / "demo" / "version_0"


def _small(runs: Path, rounds: int) -> list[str]:
    sizes = [*QUICK, "--data.clip_count=4", "--data.benchmark=null", "--data.pairs_per_step=8"]
    return [f"--config={DEMO}", f"--runs={runs}", *sizes, f"--trainer.max_epochs={rounds}"]


@pytest.fixture(scope="module")
def manifest(first_round: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clips of the run, under the ids that they have in it."""
    records = [json.loads(line) for line in (first_round / "traces" / "round_00.jsonl").read_text().splitlines()]
    file = tmp_path_factory.mktemp("clips") / "clips.jsonl"
    file.write_text("".join(json.dumps({"id": one["clip"], "video": one["video"]}) + "\n" for one in records))
    return file


def _written(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "pairs" / name).read_text().splitlines()]


def test_pairs_are_those_that_the_run_builds_for_its_next_round(
    first_round: Path, manifest: Path, tmp_path: Path
) -> None:
    built = savi.load_run(first_round).pairs(manifest)
    shutil.copytree(first_round, tmp_path / "demo" / "version_0")
    main(["fit", *_small(tmp_path, rounds=2), "--ckpt_path=last"])
    assert [asdict(pair) for pair in built.pairs] == _written(tmp_path / "demo" / "version_0", "round_01.jsonl")
    assert built.counts["pairs"] == len(built.pairs) > 0
    assert built.undecodable == {}


def test_pairs_in_a_folder_are_kept_and_not_built_twice(
    first_round: Path, run: Path, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    clips = [*(json.loads(line)["video"] for line in manifest.read_text().splitlines()[:2]), str(bad)]
    model = savi.load_run(first_round)
    built = model.pairs(clips, tmp_path / "pairs")
    assert list(built.undecodable) == [str(bad)]
    assert _written(tmp_path / "pairs", "round_01.jsonl") == [asdict(pair) for pair in built.pairs]
    monkeypatch.setattr(QuestionMaker, "run", lambda *_: pytest.fail("the pairs are built again"))
    assert model.pairs(clips, tmp_path / "pairs") == built
    with pytest.raises(SaviError, match="begun with other"):
        model.pairs(clips[:1], tmp_path / "pairs")
    with pytest.raises(SaviError, match="is a run's folder"):
        model.pairs(clips, first_round)


def test_a_run_answers_scores_and_makes_pairs_as_the_readme_says(
    first_round: Path, video: Path, manifest: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = (DEMO.parents[1] / "README.md").read_text().split("```python\n")[1:3]
    code = "".join(block.partition("```")[0] for block in blocks)
    for name, here in (("lightning_logs/demo/version_0", first_round), ("clip.mp4", video), ("videos", manifest)):
        assert name in code
        code = code.replace(name, str(here))
    exec(code, known := {})  # noqa: S102 (the page's own lines)
    model: savi.AlignedModel = known["model"]
    base, aligned, scores, counts = capsys.readouterr().out.splitlines()[-4:]
    assert (base, aligned) == tuple(ask(video, "what happens first ?") for ask in (model.ask_base, model.ask))
    assert json.loads(scores) == model.score(video, "what happens first ?", ["a square moves", "a circle moves"])
    built = model.pairs(manifest)
    assert counts == f"{len(built.pairs)} {built.counts}"


def test_a_method_makes_the_pairs_that_the_run_names_or_that_is_given(first_round: Path, manifest: Path) -> None:
    model = savi.load_run(first_round)
    given = model.pairs(manifest, method=BestOfN(samples=3))
    assert given != model.pairs(manifest)
    named = {"class_path": "savi.methods.BestOfN", "init_args": {"samples": 3}}
    config = {**model.run.config, "model": model.run.config["model"] | {"pairs": named}}
    assert build_pairs(replace(model.run, config=config), model.lm, manifest) == given


def test_a_run_whose_pairs_come_from_elsewhere_builds_none(model: savi.AlignedModel, video: Path) -> None:
    for part, value, said in (
        ("data", {"pairs": "pairs.jsonl"}, "from files"),
        ("model", {"pairs": {"class_path": "their.Method"}}, "their.Method"),
    ):
        config = {**model.run.config, part: model.run.config[part] | value}
        with pytest.raises(SaviError, match=said):
            build_pairs(replace(model.run, config=config), model.lm, [video])
    with pytest.raises(SaviError, match="no clips"):
        model.pairs([])
