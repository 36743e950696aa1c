"""`savi compare`: differences, errors and p values worked out by hand; what was won and lost is listed."""

from __future__ import annotations

import json
import math
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from savi.cli import main
from savi.evaluation.compare import compare_outcomes, sign_flip_p
from savi.evaluation.outcomes import Outcome
from tests.report.made_up_runs import measured_on


def outcome(number: int, video: str, correct: bool, task: str = "t", benchmark: str = "nextqa") -> Outcome:
    return Outcome(benchmark, str(number), video, task, "why ?", "A", "A" if correct else "B", correct)


def pairs(*rows: tuple[str, bool, bool]) -> list[tuple[Outcome, Outcome]]:
    return [(outcome(i, video, a), outcome(i, video, b)) for i, (video, a, b) in enumerate(rows)]


def test_a_difference_by_hand() -> None:
    # Changes +1, +1 on v, -1 on w, 0 on x: mean 1/4. Sums of the distances by video: (3/4 + 3/4)/4, (-5/4)/4, (-1/4)/4.
    found = compare_outcomes("nextqa", pairs(("v", 0, 1), ("v", 0, 1), ("w", 1, 0), ("x", 1, 1)))  # type: ignore[arg-type]  # few fields
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


def write_results(folder: Path, *rounds: dict[str, Any]) -> None:
    (folder / "results.json").write_text(json.dumps({"run": {"name": "demo"}, "rounds": rounds}))


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
    summary = {"accuracy": 0.5, "items": 3}
    write_results(a, *({"round": number, "benchmarks": {"nextqa": summary}} for number in (0, 1)))
    write_results(b, {"round": 1, "benchmarks": {"nextqa": summary}})
    write_results(b / "validate", {"round": 1, "benchmarks": {"nextqa": summary}})
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


def test_only_the_questions_that_both_were_asked_are_paired(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = write(tmp_path / "a.jsonl", row(0, False), row(1, True), row(2, True), row(3, True))
    b = write(tmp_path / "b.jsonl", row(0, True), row(1, True, question="what ?"), row(2, True, video="other"))
    main(["compare", str(a), str(b)])
    said = capsys.readouterr().out
    assert "NExT-QA: 0.0 -> 100.0 % (+100.0" in said
    assert "on 1 questions, 1 videos" in said
    assert "Left out: 3 questions that only A answered, 2 that only B did" in said


def item(clip: str, choice: str, folder: str = "test-v3-0") -> dict[str, Any]:
    asked = {"id": f"{clip}_count", "video": f"/cache/{folder}/{clip}.mp4", "task": "count", "question": "how many ?"}
    return asked | {"options": ["one", "two"], "answer": "two", "choice": choice}


def test_rendered_clips_of_another_seed_are_other_questions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = write(tmp_path / "a.jsonl", item("test_0", "two"))
    b = write(tmp_path / "b.jsonl", item("test_0", "two", folder="test-v3-1"))
    with pytest.raises(SystemExit):
        main(["compare", str(a), str(b)])
    assert f"savi: {a} and {b} have no question in common" in capsys.readouterr().err


@pytest.mark.parametrize("old", [False, True], ids=["today's results", "an older savi's"])
def test_the_last_round_that_was_evaluated_counts(
    old: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An older savi left the items of an earlier evaluation where a round had none."""
    run = tmp_path / "run"
    for number, choice in enumerate(("one", "one", "two", "one")):
        write(run / "items" / f"round_0{number}.jsonl", item("test_0", choice))
    entries: list[dict[str, Any]] = [{"round": number, "pairs": 5, "filters": {}} for number in range(4)]
    for number in (0, 2):
        world = {"accuracy": number / 2, "items": 1, "by_task": {}}
        entries[number] |= world if old else {"benchmarks": {"world": world}}
    write_results(run, *entries)
    main(["compare", str(run / "items" / "round_00.jsonl"), str(run)])
    said = capsys.readouterr().out
    assert f"B: {run}, round 2\n" in said
    assert "Rendered world: 0.0 -> 100.0 % (+100.0" in said


def test_a_difference_in_frames_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, frames in (("a", 32), ("b", 8)):
        write(tmp_path / name / "items" / "round_00.jsonl", item("test_0", "two"))
        world = {"accuracy": 1.0, "items": 1, "measured_on": measured_on(clips=1, frames=frames)}
        write_results(tmp_path / name, {"round": 0, "benchmarks": {"world": world}})
    main(["compare", str(tmp_path / "a"), str(tmp_path / "b")])
    said = capsys.readouterr().out
    assert f"A: {tmp_path / 'a'}, base" in said
    assert "A was measured on 3 questions on 1 clips (test, seed 0, 32 frames" in said
    assert "B was measured on 3 questions on 1 clips (test, seed 0, 8 frames" in said


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
