"""`savi score`: rows go in and come back scored, without a model and without importing one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from savi.cli import main

TABLE = Path(__file__).with_name("extractions.jsonl")
ROW = {
    "benchmark": "egoschema",
    "task": "subset",
    "question": "What does c do?",
    "options": ["rests", "hides", "runs", "sings", "sleeps"],
    "answer": "C",
    "response": "C. runs",
}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return path


def score(tmp_path: Path, *rows: Any, options: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    output = tmp_path / "out" / "scored.jsonl"
    main(["score", str(write(tmp_path / "replies.jsonl", *rows)), "--output", str(output), *options])
    return [json.loads(line) for line in output.read_text().splitlines()]


def test_rows_come_back_in_order_with_what_was_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [json.loads(line) for line in TABLE.read_text(encoding="utf-8").splitlines()[1:]]
    asked = [{k: v for k, v in row.items() if k not in ("pred", "fallback")} for row in rows]
    scored = score(tmp_path, *asked, options=("--strict",))
    assert [{k: one[k] for k in row} for row, one in zip(rows, scored, strict=True)] == rows
    assert {one["correct"] for one in scored} == {True, False}
    totals = capsys.readouterr().out
    for benchmark in ("MVBench", "PerceptionTest", "EgoSchema", "TempCompass", "NExT-QA", "LongVideoBench"):
        own = [one for one in scored if one["benchmark"] == benchmark.lower().replace("-", "")]
        fallbacks = sum(one["fallback"] for one in own)
        assert f"{benchmark}: " in totals
        assert f"  {fallbacks} of these: the reference draws" in totals.split(f"{benchmark}: ")[1]


def test_what_is_drawn_repeats_and_says_so(tmp_path: Path) -> None:
    rows = [ROW | {"response": "hm"}] * 12
    once, again = score(tmp_path, *rows), score(tmp_path, *rows)
    assert once == again
    assert {(row["pred"], row["fallback"]) for row in once} == {(None, True)}
    assert all(row["correct"] == (row["drawn"] == "C") for row in once)
    assert not any(row["correct"] for row in score(tmp_path, *rows, options=("--strict",)))


def test_options_may_bear_the_letters_of_the_hub(tmp_path: Path) -> None:
    lettered = [f"{letter}. {option}" for letter, option in zip("ABCDE", ROW["options"], strict=True)]
    reply = "I am rather sure that it is e. sleeps"
    for options in (ROW["options"], lettered):
        (row,) = score(tmp_path, ROW | {"options": options, "response": reply})
        assert (row["pred"], row["fallback"]) == ("E", False)


def test_tempcompass_rows_need_no_options_and_take_a_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    question = "Where to?\nA. left\nB. right"
    row = {"benchmark": "tempcompass", "task": "multi_choice", "question": question, "answer": "B. right"}
    rows = [row | {"response": "B)"}, row | {"response": "rightwards"}, row | {"response": None}]
    assert [(one["pred"], one["correct"], one["fallback"]) for one in score(tmp_path, *rows)] == [
        ("B", True, False),
        (None, False, True),
        (None, False, True),
    ]
    (tmp_path / "my_judge.py").write_text("def ask(prompt):\n    return 'Correct' if 'rightwards' in prompt else '-'\n")
    monkeypatch.chdir(tmp_path)
    judged = score(tmp_path, *rows, options=("--judge", "my_judge:ask"))
    assert [one["correct"] for one in judged] == [True, True, False]
    with pytest.raises(SystemExit):
        score(tmp_path, *rows, options=("--judge", "my_judge"))
    assert "module:function" in capsys.readouterr().err


def test_benchmarks_may_be_called_as_papers_and_lmms_eval_call_them(tmp_path: Path) -> None:
    names = ("EgoSchema", "egoschema_subset", "NExT-QA", "nextqa_mc_test", "LongVideoBench", "longvideobench_val_v")
    scored = score(tmp_path, *(ROW | {"benchmark": name} for name in names))
    assert [(row["benchmark"], row["correct"]) for row in scored] == [(name, True) for name in names]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{", "row 2: not JSON"),
        ([1], "row 2: not an object"),
        (ROW | {"benchmark": "mmlu"}, "row 2: benchmark 'mmlu' is unknown"),
        (ROW | {"answer": "F"}, "row 2: the answer 'F'"),
        (ROW | {"answer": "runs"}, "row 2: the answer 'runs'"),
        (ROW | {"options": ["a"]}, "row 2: 1 options"),
        (ROW | {"options": "abc"}, "row 2: the field 'options' is of type str"),
        ({k: v for k, v in ROW.items() if k != "answer"}, "row 2: the field 'answer' is missing"),
        ({k: v for k, v in ROW.items() if k != "response"}, "row 2: the field 'response' is missing"),
        (ROW | {"response": 3}, "row 2: the field 'response' is of type int"),
    ],
)
def test_a_malformed_row_is_one_line(row: Any, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        score(tmp_path, ROW, row)
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"savi: {tmp_path / 'replies.jsonl'}, {said}")
    assert not (tmp_path / "out").exists()


def test_it_starts_without_torch(tmp_path: Path) -> None:
    path = write(tmp_path / "replies.jsonl", ROW)
    code = f"import sys; from savi.cli import main; main(['score', {str(path)!r}]); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
