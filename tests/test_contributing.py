"""CONTRIBUTING's table is true: made-up additions work when exactly the files of the package change that it names."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from savi.world.benchmark import held_out
from tests.quick_runs import QUICK

ROOT = Path(__file__).parent.parent

Edits = dict[str, list[tuple[str, str]]]
"""By file, a text that is in it and the text that takes its place."""

ADDITIONS: dict[str, Edits] = {
    "a model family": {
        "src/savi/models/families.py": [
            (
                "RECORDS = (",
                "RECORDS = (\n    Family(\n        model_type='video_llava',\n        unquantized=("
                "'model.video_tower', 'model.image_tower', 'model.multi_modal_projector', 'lm_head'),\n    ),",
            )
        ]
    },
    "a loss": {
        "src/savi/objective/dpo.py": [
            ('("sigmoid", "ipo", "hinge")', '("sigmoid", "ipo", "hinge", "linear")'),
            ('Literal["sigmoid", "ipo", "hinge"]', 'Literal["sigmoid", "ipo", "hinge", "linear"]'),
            ('    if settings.loss == "hinge":', '    if settings.loss == "linear":\n        return -beta * gap\n'),
        ]
    },
    "a benchmark": {
        "src/savi/evaluation/benchmarks/registry.py": [
            ("import MLVU\n", "import MLVU\nfrom savi.evaluation.benchmarks.kites import KITES\n"),
            ("VIDEOMME, MLVU)", "VIDEOMME, MLVU, KITES)"),
        ]
    },
    "a critic": {
        "src/savi/methods/critics.py": [
            (
                "def encode_empty_videos",
                "class Hearty(Itself):\n    def critique(self, session, answers, sampling, round):\n"
                "        written = super().critique(session, answers, sampling, round)\n"
                "        return [replace(reply, text=f'{reply.text} hooray') for reply in written]\n\n\n"
                "def encode_empty_videos",
            ),
        ],
        "src/savi/methods/__init__.py": [
            ('    "truth": critics.Truth,', '    "truth": critics.Truth,\n    "hearty": critics.Hearty,')
        ],
    },
    "a filter": {
        "src/savi/critique/filters.py": [
            ("FILTERS = (", 'TOO_RED = "too red"\n\nFILTERS = (\n    TOO_RED,'),
            ("    def __post_init__", "    most_red: int = 9\n\n    def __post_init__"),
            (
                "def filter_likelihood(",
                "def filter_red(text: str, settings: FilterSettings) -> str | None:\n"
                "    return TOO_RED if words(text).count('red') > settings.most_red else None\n\n\n"
                "def filter_likelihood(",
            ),
            ("REMEDIES = {", 'REMEDIES = {\n    TOO_RED: "Ask about other colors",'),
        ],
        "src/savi/critique/chain.py": [
            ("UNPARSABLE, filter_reply\n", "UNPARSABLE, filter_red, filter_reply\n"),
            (
                "            thread.filtered_by = filter_reply(text, finished, filters)",
                "            thread.filtered_by = filter_reply(text, finished, filters) or (\n"
                "                filter_red(text, filters) if turn.name == 'answer' else None\n"
                "            )",
            ),
        ],
        "src/savi/record/settings_kinds.py": [
            (
                '    "model.filters.least_logp": ID,',
                '    "model.filters.most_red": ID,\n    "model.filters.least_logp": ID,',
            )
        ],
    },
    "a turn of the chain": {
        "src/savi/types.py": [('"critique", "revision"]', '"critique", "revision", "second look"]')],
        "src/savi/prompts/templates.py": [
            ("FIELDS = {", 'FIELDS = {\n    "second_look": {"question", "answer", "critique"},'),
            (
                '    same_meaning: str = ""',
                '    same_meaning: str = ""\n'
                '    second_look: str = "question : {question} answer : {answer} critique : {critique} revise"',
            ),
        ],
        "src/savi/critique/settings.py": [
            (
                "    critique: Sampling = ",
                "    second_look: Sampling = field(default_factory=lambda: Sampling(max_new_tokens=12))\n\n"
                "    critique: Sampling = ",
            )
        ],
        "src/savi/critique/turns.py": [
            (
                '    TurnSpec("revision", "revision", parse_revision),\n',
                '    TurnSpec("revision", "revision", parse_revision),\n'
                '    TurnSpec("second look", "second_look", parse_revision),\n',
            )
        ],
        "src/savi/record/settings_kinds.py": [
            (
                f'    "model.chain.revision.{name}": ID,',
                f'    "model.chain.revision.{name}": ID,\n    "model.chain.second_look.{name}": ID,',
            )
            for name in ("temperature", "top_p", "max_new_tokens")
        ],
    },
}

BENCHMARK = """
from savi.evaluation.benchmarks.files import need
from savi.evaluation.benchmarks.items import Benchmark, Item, check_letters, lettered, read_lone_letter
from savi.evaluation.benchmarks.rows import read_rows
from savi.types import Clip


def load(root, options):
    return [_item(root, number, row) for number, row in enumerate(read_rows(need(root, ("kites.json",), "kites")))]


def _item(root, number, row):
    question, options, video = row.text("question"), row.texts("options"), row.text("video")
    prompt = f"{question} {lettered(options)}"
    return Item("kites", question, options, row.text("answer"), "kites", f"{number}", Clip(video, root / video), prompt)


KITES = Benchmark(name="kites", title="Kites", load=load, read=read_lone_letter, check=check_letters)
"""

NEW_FILES = {
    "src/savi/evaluation/benchmarks/kites.py": BENCHMARK,
    "experiments/eval/kites.yaml": "data:\n  benchmark:\n    kites:\n      root: benchmarks/kites\n",
}
"""The file and the experiment of the benchmark."""

FAMILY = """
import sys, warnings
from pathlib import Path
import torch
from savi.inference import ScoreRequest
from tests.miniatures import build_lm, noise_clip
from tests.models.test_unknown_models import build_video_llava

with warnings.catch_warnings():
    warnings.filterwarnings("error", message="savi has no family")
    lm = build_lm(build_video_llava(Path(sys.argv[1])))
clip, frames = noise_clip(0)
requests = [ScoreRequest(0, "what is it?", ("a cat", "no"))]
with torch.no_grad():
    packed, plain = lm.encode([clip], [frames]).score(requests), lm.score_one_by_one([frames], requests)
torch.testing.assert_close(packed.logps, plain.logps, atol=1e-4, rtol=0)
"""


def named_by_contributing(addition: str) -> set[str]:
    """The files of the package that the table names for an addition."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (row,) = [line for line in text.splitlines() if line.startswith(f"| {addition} |")]
    return {name for name in re.findall(r"`(src/savi/[\w./]+)`", row.split("|")[2]) if name.endswith(".py")}


@pytest.mark.parametrize("addition", ADDITIONS)
def test_an_addition_changes_the_files_that_are_named(addition: str) -> None:
    assert ADDITIONS[addition].keys() == named_by_contributing(addition)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with savi and all additions."""
    folder = tmp_path_factory.mktemp("scratch")
    shutil.copytree(ROOT / "src" / "savi", folder / "src" / "savi", ignore=shutil.ignore_patterns("__pycache__"))
    for edits in ADDITIONS.values():
        for name, changes in edits.items():
            text = (folder / name).read_text(encoding="utf-8")
            for old, new in changes:
                assert text.count(old) == 1, f"{name}: {old}"
                text = text.replace(old, new)
            (folder / name).write_text(text, encoding="utf-8")
    for name, text in NEW_FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def run(package: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(map(str, (package / "src", ROOT)))
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}, cwd=package)


@pytest.mark.slow  # tests/models has a suite of all families
def test_a_new_family_is_loaded_without_a_warning_and_scores_as_the_plain_model(package: Path, tmp_path: Path) -> None:
    done = run(package, "-c", FAMILY, str(tmp_path / "base"))
    assert done.returncode == 0, done.stderr


def write_kites(root: Path) -> None:
    """The official files of the made-up benchmark: four clips with three questions each."""
    root.mkdir(parents=True)
    rows = []
    for item in held_out(root, 4, 0):
        about = {"video": str(item.clip.path.relative_to(root)), "question": item.question, "options": item.options}
        rows.append(about | {"answer": "ABCD"[item.answer]})
    (root / "kites.json").write_text(json.dumps(rows))


@pytest.fixture(scope="module")
def learned(package: Path) -> Path:
    """A run with the made-up loss, benchmark, critic, filter and turn."""
    write_kites(package / "benchmarks" / "kites")
    done = run(
        package,
        *("-m", "savi.cli", "fit", "--config=demo", "--config=experiments/eval/kites.yaml", "--name=demo"),
        *("--runs=runs", "--trainer.max_epochs=1", "--data.clip_count=12", *QUICK),
        *("--model.dpo.loss=linear", "--model.pairs.critic=hearty", "--model.filters.most_red=0"),
    )
    assert done.returncode == 0, done.stderr
    return package / "runs" / "demo" / "version_0"


def test_a_new_loss_is_the_one_that_the_run_took(learned: Path) -> None:
    rows = (learned / "metrics.csv").read_text().splitlines()
    columns = rows[0].split(",")
    cells = [dict(zip(columns, row.split(","), strict=True)) for row in rows[1:]]
    steps = [cell for cell in cells if cell["loss"]]
    assert steps
    for cell in steps:
        assert float(cell["loss"]) == pytest.approx(-float(cell["rewards/margins"]), abs=1e-5)


def test_a_new_benchmark_is_measured_before_and_after_the_round(learned: Path) -> None:
    results = json.loads((learned / "results.json").read_text())
    for entry in results["rounds"]:
        summary = entry["benchmarks"]["kites"]
        rows = (learned / "benchmarks" / f"round_{entry['round']:02d}" / "kites.jsonl").read_text().splitlines()
        assert len(rows) == summary["items"] == 12
        assert summary["accuracy"] == sum(json.loads(row)["correct"] for row in rows) / 12
    table = (learned / "benchmarks" / "round_01" / "benchmarks.md").read_text()
    assert table.startswith("|  | Kites |")
    assert "published" not in table


def traces(run_folder: Path) -> list[dict[str, Any]]:
    lines = (run_folder / "traces" / "round_00.jsonl").read_text().splitlines()
    return [trace for line in lines for trace in json.loads(line)["traces"]]


def test_a_new_critic_a_new_turn_and_a_new_filter_are_in_the_traces(learned: Path) -> None:
    turns = [{turn["name"]: turn["reply"] for turn in trace["turns"]} for trace in traces(learned)]
    criticized = [turn for turn in turns if "critique" in turn]
    assert criticized
    assert all(turn["critique"].endswith(" hooray") for turn in criticized)
    assert any("second look" in turn for turn in turns)
    taken = [trace for trace in traces(learned) if trace["outcome"] == "too red"]
    assert taken
    assert all("red" in trace["turns"][-1]["reply"].split() for trace in taken)
