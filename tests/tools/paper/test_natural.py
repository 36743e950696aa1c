"""The study's part in natural language: from the files of a run on a natural base to its section of the page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from savi.evaluation.benchmarks.items import LETTERS
from savi.types import Clip
from savi.world.natural import NATURAL
from savi.world.oracle import scene_of_clip
from savi.world.questions import Query, queries
from savi.world.scenes import VERSION
from savi.world.sets import scene_of
from tests.report.made_up_runs import make_results
from tools.natural_base.beginning import Beginning
from tools.natural_base.card import natural_card
from tools.natural_base.lessons import Prior
from tools.natural_base.measure import of_chain
from tools.paper.gather import gather, read_rows
from tools.paper.page import write_page
from tools.paper.plan import Base, Fit

CLIP, VIDEO = "clip_00000", f"train-v{VERSION}-0/clip_00000.mp4"
SCENES = 8


@pytest.fixture
def base(tmp_path: Path) -> Base:
    """A folder with a card and three numbers."""
    folder = tmp_path / "natural-weak"
    folder.mkdir()
    none = of_chain([])
    kinds = dict.fromkeys(("motion", "order", "change", "shape", "count", "spatial"), none)
    figures = {"clips": 9, "greedy": none, "sampled": none, "kinds": kinds, "choice": (0.25, 0.1), "sight": {}}
    own = dict.fromkeys(("valid", "changed", "changed right"), (0.0, 0.0))
    card = natural_card(Beginning(seed=3, prior=0.5), figures | {"own questions": own}, 2)
    (folder / "README.md").write_text(card, encoding="utf-8")
    save_file({"weights": torch.zeros(3)}, folder / "model.safetensors")
    return Base(str(folder))


def items(always_right: bool) -> str:
    """A question on each of some held-out clips. Else the favorite of the prior is chosen."""
    rows = []
    for index in range(SCENES):
        query = queries(scene_of("test", 0, index), NATURAL)[index]
        favorite = Prior(3, 0.5).favorite(query)[0]
        options = [NATURAL.reply(query, value) for value in query.values[:4]]
        choice = query.answer if always_right else favorite
        row = {"video": f"test-v{VERSION}-0/clip_{index:05}.mp4", "task": query.kind, "question": query.text}
        letters = dict(zip(query.values, LETTERS, strict=False))
        if {query.answer, favorite} <= set(query.values[:4]):
            right = {"answer": letters[query.answer], "pred": letters[choice], "correct": choice == query.answer}
            rows.append(json.dumps(row | {"options": options} | right) + "\n")
    return "".join(rows)


def write_run(fit: Fit, rounds: int) -> Query:
    """A run that learns all in its first round. Of its questions two became pairs, and two were approved."""
    for name in ("pairs", "traces", *(f"benchmarks/round_{number:02d}" for number in range(rounds + 1))):
        (fit.folder / name).mkdir(parents=True)
    (fit.folder / "results.json").write_text(json.dumps(make_results(rounds)))
    (fit.folder / "summary.png").touch()
    query = queries(scene_of_clip(Clip(CLIP, Path(VIDEO))), NATURAL)[0]
    wrong = next(value for value in query.values if value != query.answer)
    place = {"clip": CLIP, "video": VIDEO}
    # Worded otherwise than the question's own claim: read by its key word.
    texts = {"chosen": f"Oh, {NATURAL.key(query.answer)}!", "rejected": NATURAL.reply(query, wrong)}
    (fit.folder / "pairs" / "round_00.jsonl").write_text(json.dumps(place | {"question": query.text} | texts) + "\n")
    turns = [{"name": name, "reply": reply} for name, reply in (("question", query.text), ("answer", "a | b"))]
    traces = [
        {"outcome": "pair", "turns": [*turns, {"name": "revision", "reply": revision}], "question": query.text}
        for revision in texts.values()
    ]
    traces += [{"outcome": "answer approved", "turns": turns, "question": "Why?"} for _ in range(2)]
    line = json.dumps(place | {"traces": traces[::-1]})
    (fit.folder / "traces" / "round_00.jsonl").write_text(line + "\n")
    for number in range(rounds + 1):
        text = items(always_right=number == 1)
        (fit.folder / "benchmarks" / f"round_{number:02d}" / "world.jsonl").write_text(text)
    return query


def test_runs_on_a_natural_base_have_a_section(base: Base, tmp_path: Path) -> None:
    """One round of each is compared: what VideoSAVi's second one does is in its path alone."""
    fits = [Fit(tmp_path / "study", base, "natural_videosavi", seed) for seed in (0, 1)]
    for fit in fits:
        query = write_run(fit, rounds=2)
    fits.append(Fit(tmp_path / "study", base, "natural_sft", 0))
    write_run(fits[-1], rounds=1)
    gather(fits, tmp_path / "results.jsonl")
    row = next(row for row in read_rows(tmp_path / "results.jsonl") if row["row"] == "fit")
    assert row["first_pairs"] == {"answerable": 1, "chosen": 1, "rejected": 0}
    before, after, _ = (entry["prior"] for entry in row["rounds"])
    assert before["adversarial"] > 0
    assert (before["driven"], before["right"]) == (before["adversarial"], 0)
    assert (after["driven"], after["right"]) == (0, after["adversarial"])
    assert before["agreeing_right"] == before["agreeing"]
    assert [one["outcome"] for one in row["examples"]] == ["pair", "pair", "pair, revision wrong", "answer approved"]
    assert [one["truth"] for one in row["examples"]] == [query.answer, query.answer, query.answer, ""]
    assert NATURAL.read(query, row["examples"][2]["revision"]) != query.answer
    write_page(tmp_path / "results.jsonl", tmp_path / "paper.md")
    page = (tmp_path / "paper.md").read_text()
    gains = "+5.0 | +5.0"
    assert f"| `natural-weak` | VideoSAVi | `natural_videosavi` | 2 | 40.0 → 45.0 → 50.0 | {gains} | - | 1.8 |" in page
    assert f"`natural_sft` | 1 | 40.0 → 45.0 | {gains} | +0.0 | 1.8 |" in page
    questions = f"{before['adversarial']} + {before['agreeing']}"
    assert f"| `natural-weak` | `natural_videosavi` | {questions} | 0.0 | 100.0 | 100.0 | 100.0 |" in page
    assert "| `natural-weak` | 1 | 100.0 | 0.0 |" in page
    assert "| `natural-weak` | 1 | 927 | 599 | 2 | 5 | 120 | 201 |" in page
    assert "| `natural-weak` | 2 | 927 | 598 | 2 | 5 | 120 | 202 |" in page
    assert rf"| pair | {query.text} ({query.answer}) | a \| b |" in page
