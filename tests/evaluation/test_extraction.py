"""What is read in messy replies is what lmms-eval's own functions read (recorded by record_extractions.py)."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from savi.evaluation.benchmarks.items import Asked
from savi.evaluation.benchmarks.registry import BENCHMARKS
from savi.evaluation.grading import Grader

RECORDED, *ROWS = [
    json.loads(line) for line in Path(__file__).with_name("extractions.jsonl").read_text(encoding="utf-8").splitlines()
]


def asked(row: dict[str, Any]) -> Asked:
    return Asked(row["task"], row["question"], tuple(row["options"]), row["answer"])


@pytest.mark.parametrize("benchmark", [name for name, one in BENCHMARKS.items() if not one.rendered])
def test_replies_are_read_as_the_reference_reads_them(benchmark: str) -> None:
    grader = Grader(BENCHMARKS[benchmark], strict=True)
    rows = [row for row in ROWS if row["benchmark"] == benchmark]
    for row in rows:
        grade = grader.grade(asked(row), row["response"])
        assert (grade.pred, grade.fallback) == (row["pred"], row["fallback"]), row
        gold = row["answer"][0] if row["task"] == "multi-choice" else row["answer"]
        assert grade.correct == (row["pred"] == gold), row
    assert len(rows) >= 60


def test_the_table_is_large_and_holds_every_kind_of_outcome() -> None:
    assert RECORDED["recorded_with"].startswith("lmms-eval ")
    assert len({(row["benchmark"], row["response"]) for row in ROWS}) >= 150
    outcomes = Counter((row["benchmark"], row["pred"] is None, row["fallback"]) for row in ROWS)
    for name in ("mvbench", "perceptiontest"):
        assert outcomes[name, True, False] > 5
    for name in ("egoschema", "nextqa", "longvideobench", "tempcompass"):
        assert outcomes[name, True, True] > 5
        assert outcomes[name, False, False] > 20
