"""`savi compare`: differences, errors and p values worked out by hand; what was won and lost is listed."""

from __future__ import annotations

import json
import math
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from savi.cli import main
from savi.evaluation.compare import Outcome, compare_outcomes, sign_flip_p
from savi.types import SaviError


def outcome(number: int, video: str, correct: bool, task: str = "t", benchmark: str = "nextqa") -> Outcome:
    return Outcome(benchmark, str(number), video, task, "why ?", "A", "A" if correct else "B", correct)


def pairs(*rows: tuple[str, bool, bool]) -> list[tuple[Outcome, Outcome]]:
    return [(outcome(i, video, a), outcome(i, video, b)) for i, (video, a, b) in enumerate(rows)]


def test_a_difference_by_hand() -> None:
    # Changes +1, +1 on v, -1 on w, 0 on x: mean 1/4. Sums of the distances by video: (3/4 + 3/4)/4, (-5/4)/4, (-1/4)/4.
    found = compare_outcomes("nextqa", pairs(("v", 0, 1), ("v", 0, 1), ("w", 1, 0), ("x", 1, 1)))  # type: ignore[arg-type]
    error = math.sqrt((1.5 / 4) ** 2 + (1.25 / 4) ** 2 + (0.25 / 4) ** 2)
    assert (found.accuracy_a, found.accuracy_b) == (0.5, 0.75)
    assert found.interval == (pytest.approx(0.25 - 1.959964 * error), pytest.approx(0.25 + 1.959964 * error))
    assert (found.questions, found.videos, len(found.won), len(found.lost)) == (4, 3, 2, 1)


def test_p_is_the_share_of_sign_flips_that_reach_as_far() -> None:
    changes = [2.0, 1.0, 1.0, 1.0, -1.0, 0.0]
    sums = [abs(sum(s * c for s, c in zip(signs, changes, strict=True))) for signs in product((1, -1), repeat=6)]
    exact = sum(value >= 4.0 for value in sums) / len(sums)
    assert sign_flip_p(changes) == pytest.approx(exact, abs=0.015)
    assert sign_flip_p([0.0, 0.0]) == 1.0
    assert sign_flip_p([1.0] * 20) < 0.001


def test_mvbench_weighs_its_tasks_alike() -> None:
    both = [(outcome(i, str(i), False, "s"), outcome(i, str(i), False, "s")) for i in range(3)]
    both.append((outcome(9, "9", False, "r"), outcome(9, "9", True, "r")))
    assert compare_outcomes("mvbench", both).accuracy_b == pytest.approx(0.5)
    assert compare_outcomes("nextqa", both).accuracy_b == pytest.approx(0.25)
    assert compare_outcomes("mvbench", both).by_task == {"r": 1.0, "s": 0.0}


def test_runs_that_were_asked_differently_are_refused() -> None:
    a, b = outcome(1, "v", True), Outcome("nextqa", "1", "v", "t", "what ?", "A", "A", True)
    with pytest.raises(SaviError, match=r"different questions as 1"):
        compare_outcomes("nextqa", [(a, b)])


def row(number: int, correct: bool, **more: Any) -> dict[str, Any]:
    read = {"answer": "A", "pred": "A" if correct else None, "correct": correct}
    return (
        {"benchmark": "nextqa", "id": str(number), "video": f"v{number}", "task": "CW", "question": "why ?"}
        | read
        | more
    )


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


def test_the_command_finds_a_runs_last_evaluation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    write(a / "benchmarks" / "round_00" / "nextqa.jsonl", row(0, True), row(1, False), row(2, False))
    write(a / "benchmarks" / "round_01" / "nextqa.jsonl", row(0, True), row(1, False), row(2, True), row(3, True))
    write(b / "benchmarks" / "round_01" / "nextqa.jsonl", row(0, False))
    write(
        b / "validate" / "benchmarks" / "nextqa.jsonl",
        row(0, True),
        row(1, True),
        row(2, False),
        row(4, True, answer=""),
    )
    write(b / "validate" / "benchmarks" / "nextqa.replies.jsonl", {"key": "x"})
    output = tmp_path / "changes.jsonl"
    main(["compare", str(a), str(b), "--output", str(output)])
    said = capsys.readouterr().out
    assert "NExT-QA: 66.7 -> 66.7 % (+0.0" in said
    assert "on 3 questions, 3 videos" in said
    assert "Left out: 1 questions that only A answered, 0 that only B did" in said
    assert "1: why ? (unread) -> A" in said
    changes = [json.loads(line) for line in output.read_text().splitlines()]
    assert [(one["outcome"], one["id"]) for one in changes] == [("won", "1"), ("lost", "2")]
    main(["compare", str(a / "benchmarks" / "round_00"), str(a)])
    assert "NExT-QA: 33.3 -> 66.7 % (+33.3" in capsys.readouterr().out


def test_the_world_is_compared_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    item = {"id": "x", "video": "v", "task": "count", "question": "how many ?", "answer": "two"}
    for number, choice in enumerate(("one", "two")):
        write(tmp_path / "run" / "items" / f"round_0{number}.jsonl", item | {"choice": choice})
    main(["compare", str(tmp_path / "run" / "items" / "round_00.jsonl"), str(tmp_path / "run")])
    assert "world: 0.0 -> 100.0 % (+100.0" in capsys.readouterr().out


def test_runs_without_anything_in_common_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = write(tmp_path / "a.jsonl", row(0, True))
    b = write(tmp_path / "b.jsonl", row(1, True))
    for other, said in (
        (b, "no question in common"),
        (tmp_path / "nowhere", "no such file"),
        (tmp_path, "no answered"),
    ):
        with pytest.raises(SystemExit) as stop:
            main(["compare", str(a), str(other)])
        assert stop.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("savi: ")
        assert said in line
