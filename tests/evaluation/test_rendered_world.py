"""The rendered world as a benchmark like the others: counted apart from savi, resumed after a kill, cut to a part."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from savi.cli import main
from savi.evaluation.answers import Answer, AnswerLog
from savi.evaluation.benchmarks.items import Options
from savi.evaluation.graded_answers import grade_answers
from savi.evaluation.measured import is_comparable, read_results
from savi.evaluation.settings import BenchmarkSettings, open_benchmark
from savi.world.benchmark import HeldOutQuestion, held_out

DEMO = Path(__file__).parents[2] / "experiments" / "demo.yaml"
CLIPS = 8


def validate(runs: Path, *more: str, command: str = "validate") -> Path:
    """The demo's base on a few held-out clips, in this process; the folder of the evaluation."""
    small = [
        "--name=demo",
        f"--data.benchmark_clips={CLIPS}",
        "--data.micro_batch_clips=2",
        "--trainer.enable_progress_bar=false",
    ]
    main([command, f"--config={DEMO}", f"--runs={runs}", *small, *more])
    return runs / "demo" / "base"


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "benchmarks" / "world.jsonl").read_text().splitlines()]


def summary_of(folder: Path) -> dict[str, Any]:
    (entry,) = json.loads((folder / "results.json").read_text())["rounds"]
    summary: dict[str, Any] = entry["benchmarks"]["world"]
    return summary


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return validate(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, HeldOutQuestion]:
    questions = held_out(tmp_path_factory.mktemp("clips"), CLIPS, 0, "dev")
    return {question.id: question for question in questions}


def test_the_summary_is_what_counting_the_rows_gives(evaluation: Path, asked: dict[str, HeldOutQuestion]) -> None:
    summary, rows = summary_of(evaluation), rows_of(evaluation)
    assert [row["id"] for row in rows] == list(asked)
    errors: Counter[str] = Counter()
    right = own_words = malformed = 0
    for row in rows:
        question = asked[row["id"]]
        chosen = row["logps"].index(max(row["logps"]))
        assert (row["question"], row["options"]) == (question.question, list(question.options))
        assert (row["pred"], row["answer"]) == ("ABCD"[chosen], "ABCD"[question.answer])
        assert row["correct"] == (chosen == question.answer)
        assert row["malformed"] == (row["free_form"] not in question.replies)
        assert row["video"].endswith(f"-0/{question.clip.id}.mp4")
        right += row["correct"]
        own_words += row["free_form"] == question.options[question.answer]
        malformed += row["malformed"]
        errors[question.errors[chosen]] += 1
    assert summary["accuracy"] == right / len(rows)
    assert summary["free_form_accuracy"] == own_words / len(rows)
    assert summary["malformed"] == malformed / len(rows)
    assert summary["measured_on"]["wording"] is None
    assert {kind: count for kind, count in summary["errors"].items() if count} == {k: n for k, n in errors.items() if k}
    low, high = summary["interval"]
    assert 0 <= low < summary["accuracy"] < high <= 1


def test_the_test_set_is_measured_by_savi_test_alone(evaluation: Path, tmp_path: Path) -> None:
    assert {row["id"].split("_")[0] for row in rows_of(evaluation)} == {"dev"}
    folder = validate(tmp_path, command="test") / "test"
    assert [row["id"] for row in rows_of(folder)] == [one.id for one in held_out(tmp_path / "clips", CLIPS, 0, "test")]
    assert summary_of(folder)["measured_on"]["split"] == "test"
    with (folder / "metrics.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert float(row["test/accuracy"]) == pytest.approx(summary_of(folder)["accuracy"], abs=1e-6)
    validate(tmp_path / "other", "--data.test_set=forms", "--data.benchmark_clips=2", command="test")
    assert summary_of(tmp_path / "other" / "demo" / "base" / "test")["measured_on"]["split"] == "forms"


def test_natural_replies_are_graded_by_their_key_words(tmp_path: Path) -> None:
    options = Options("dev", clips=4, wording="natural")
    opened = open_benchmark("world", BenchmarkSettings(), options, tmp_path)
    (item,) = [item for item in opened.items if item.task == "motion"][:1]
    right = item.options["ABCD".index(item.answer)]
    other = next(option for option in item.options if option != right)
    replies = {f"Well, {right.lower()}": (True, False), other: (False, False), f"{right} {other}": (False, True)}
    for reply, (correct, malformed) in replies.items():
        log = AnswerLog(tmp_path / "log.jsonl", key=reply)
        log.take([Answer(item.id, item.answer, (0.0,) * 4, free_form=reply)])
        (row,), summary = grade_answers(opened, log, frames=32, max_pixels=None)
        assert (row["free_form_correct"], row["malformed"]) == (correct, malformed), reply
        assert summary["free_form_accuracy"] == correct
        assert summary["measured_on"]["wording"] == "natural"


def test_an_evaluation_that_was_cut_off_goes_on_and_ends_with_the_same_files(
    evaluation: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "demo" / "base"
    shutil.copytree(evaluation, folder)
    log = folder / "benchmarks" / "world.replies.jsonl"
    lines = log.read_text().splitlines(keepends=True)
    assert len(lines) == 1 + CLIPS // 2
    log.write_text("".join(lines[:3]) + lines[3][:20])  # two batches of two clips, and a half
    (folder / "benchmarks" / "world.jsonl").unlink()
    validate(tmp_path)
    assert f"Rendered world: 12 of {3 * CLIPS} were answered before" in caplog.text
    for name in ("world.jsonl", "world.replies.jsonl", "benchmarks.md"):
        assert (folder / "benchmarks" / name).read_bytes() == (evaluation / "benchmarks" / name).read_bytes(), name
    assert summary_of(folder) == summary_of(evaluation)


def test_a_part_of_it_is_measured_like_a_part_of_the_others(tmp_path: Path) -> None:
    settings = {"tasks": "[motion,count]", "questions": 6, "scorer": "reply"}
    more = [f"--data.benchmark.world.{name}={value}" for name, value in settings.items()]
    folder = validate(tmp_path, f"--config={DEMO.parent / 'eval' / 'world.yaml'}", *more)
    summary = summary_of(folder)
    assert Counter(row["task"] for row in rows_of(folder)) == {"motion": 3, "count": 3}
    assert summary["measured_on"]["scorer"] == "reply"
    assert "free_form_accuracy" not in summary
    assert all("logps" not in row for row in rows_of(folder))


def test_a_clip_that_can_not_be_decoded_is_wrong_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "world-0" / "held_out"
    broken = held_out(folder, CLIPS, 0, "dev")[0].clip.path
    broken.write_bytes(b"not a video")
    run = validate(tmp_path / "runs", f"--data.cache={tmp_path / 'cache'}")
    bad = [row for row in rows_of(run) if row["video"].endswith(broken.name)]
    assert {row["problem"] for row in bad} == {"not a video"}
    assert not any(row["correct"] for row in bad)
    assert all(row["malformed"] for row in bad)
    assert summary_of(run)["undecodable"] == len(bad) == 3


OLDER_ROW = {
    "id": "id",
    "task": "task",
    "question": "question",
    "options": "options",
    "logps": "logps",
    "free_form": "reply",
    "malformed": "malformed",
    "answer": "answer",
    "pred": "choice",
}
"""Today's field of a row, and its name in `items/round_NN.jsonl`, where older runs kept the rows of the world. The last
two were the options' texts."""
OLDER_ENTRY = ("accuracy", "by_task", "errors", "items", "free_form_accuracy", "malformed")
"""Today's fields of a summary that older runs kept in the entry of results.json itself."""


def as_before(evaluation: Path, folder: Path) -> Path:
    """The evaluation as a savi wrote it that had the world apart from the other benchmarks."""
    results = json.loads((evaluation / "results.json").read_text())
    (entry,) = results["rounds"]
    world = entry.pop("benchmarks")["world"]
    folder.mkdir()
    entry |= {name: world[name] for name in OLDER_ENTRY}
    (folder / "results.json").write_text(json.dumps(results))
    with (folder / "items.jsonl").open("w") as file:
        for row in rows_of(evaluation):
            older = {name: row[field] for field, name in OLDER_ROW.items()}
            older |= {name: row["options"]["ABCD".index(older[name])] for name in ("answer", "choice")}
            file.write(json.dumps(older | {"video": f"/cache/world-0/held_out/{row['video']}"}) + "\n")
    return folder


def test_an_older_runs_evaluation_is_read_as_todays(
    evaluation: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    older = as_before(evaluation, tmp_path / "older")
    before, today = (read_results(folder / "results.json")["rounds"] for folder in (older, evaluation))
    for name in OLDER_ENTRY:
        assert before[0]["benchmarks"]["world"][name] == today[0]["benchmarks"]["world"][name]
    assert not is_comparable(before[0]["benchmarks"]["world"], today[0]["benchmarks"]["world"]), (
        "it doesn't say its set"
    )
    main(["compare", str(older), str(evaluation)])
    said = capsys.readouterr().out
    percent = f"{100 * summary_of(evaluation)['accuracy']:.1f}"
    assert f"Rendered world: {percent} -> {percent} % (+0.0" in said
    assert f"on {3 * CLIPS} questions, {CLIPS} videos" in said
    assert "Left out" not in said
    assert "  0 won\n  0 lost" in said
