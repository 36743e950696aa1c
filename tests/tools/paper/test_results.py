"""The committed results: the page is made of them, and the readiness check's bounds tell good runs from bad ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.paper.gather import read_rows
from tools.paper.numbers import Study
from tools.paper.page import write_page

DOCS = Path(__file__).parents[3] / "docs"


@pytest.fixture(scope="module")
def study() -> Study:
    return Study(read_rows(DOCS / "paper" / "results.jsonl"))


def test_the_committed_page_is_what_the_results_say(tmp_path: Path) -> None:
    write_page(DOCS / "paper" / "results.jsonl", tmp_path / "paper.md")
    page = (tmp_path / "paper.md").read_text()
    assert page == (DOCS / "paper.md").read_text()
    assert max(len(line) for line in page.splitlines() if not line.startswith("|")) <= 120


def test_bases_that_gain_are_not_warned_of(study: Study) -> None:
    for run in study.runs("videosavi"):
        assert run.gain > 0.15
        assert run.concerns(labels=True) == []


def test_a_critic_of_text_alone_is_warned_of_without_a_label(study: Study) -> None:
    runs = study.runs("critic_text")
    assert runs
    for run in runs:
        assert run.gain < 0.06
        assert run.concerns(labels=False) != []


def test_shuffled_critiques_are_warned_of_with_labels_and_mostly_without(study: Study) -> None:
    runs = study.runs("control_shuffled")
    assert runs
    for run in runs:
        assert run.gain < 0.06
        assert run.concerns(labels=True) != []
    assert sum(run.concerns(labels=False) != [] for run in runs) > 0.8 * len(runs)


def test_the_weak_base_gains_far_less_and_is_warned_of_without_a_label(study: Study) -> None:
    runs = study.runs("videosavi", "weak")
    assert "weak-1" in {run.base for run in runs}
    least = min(run.gain for run in study.runs("videosavi"))
    for run in runs:
        assert run.gain < least / 2
        assert run.concerns(labels=False) != []


def test_a_critic_of_other_clips_is_warned_of_with_labels_alone(study: Study) -> None:
    runs = study.runs("control_other_clip")
    assert runs
    for run in runs:
        assert "revised answers are hardly better than answers" in run.concerns(labels=True)
    assert any(run.concerns(labels=False) == [] for run in runs)


def test_the_readmes_numbers_are_the_pages() -> None:
    page = (DOCS / "paper.md").read_text().splitlines()
    rows = [
        line for line in (DOCS.parent / "README.md").read_text().splitlines() if re.match(r"\| .*\(`\w+`\) \|", line)
    ]
    assert len(rows) >= 4
    for row in rows:
        name, *cells = re.findall(r"`(\w+)`", row)[-1:] + [cell.strip(" *") for cell in row.split("|")[2:-1]]
        first = next(line for line in page if f"| `{name}` |" in line)
        assert f"| `{name}` | {' | '.join(cells)} |" in first
