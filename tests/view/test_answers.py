"""Documents about held-out questions: which were won and lost, between rounds and between runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from savi.evaluation.compare import compare_outcomes
from savi.evaluation.outcomes import read_evaluation
from savi.files import write_json_lines
from savi.view.answers import PART
from savi.view.media import Media
from savi.view.site import Site
from tools.made_up_run import write_run

ROWS = 240
"""Questions of a made-up evaluation."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    video = folder / "a.mp4"
    video.touch()
    return [
        write_run(folder / "demo" / "version_0", [video], 2, clips=2),
        write_run(folder / "other" / "version_0", [video], 1, clips=2, gain=0.2, planned=3),
    ]


@pytest.fixture
def site(runs: list[Path], tmp_path: Path) -> Iterator[Site]:
    media = Media(tmp_path / "cache")
    yield Site(runs, media)
    media.close()


def rows_of(run: Path, round: int) -> list[dict[str, Any]]:
    lines = (run / "benchmarks" / f"round_{round:02d}" / "world.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def need(site: Site, name: str) -> dict[str, Any]:
    document = site.document(name)
    assert document is not None
    return document


def test_an_outcome_has_the_texts_of_the_right_option_and_of_the_chosen_one(site: Site, runs: list[Path]) -> None:
    row = rows_of(runs[0], 1)[7]
    found = need(site, "0/outcomes_0_1")["rows"]
    right, said = (row["options"]["ABCD".index(row[name])] for name in ("answer", "pred"))
    assert found[7][1:] == [row["task"], row["question"], right, said, int(row["correct"])]
    assert len({key for key, *_ in found}) == ROWS


def test_a_question_without_a_public_answer_keeps_its_place(site: Site, tmp_path: Path, runs: list[Path]) -> None:
    path = runs[0] / "benchmarks" / "round_02" / "world.jsonl"
    before = path.read_text()
    write_json_lines(path, [row | ({"answer": ""} if at == 3 else {}) for at, row in enumerate(rows_of(runs[0], 2))])
    found = need(site, "0/outcomes_0_2")["rows"]
    path.write_text(before)
    assert found[3] is None
    assert len(found) == ROWS


def test_the_difference_of_two_runs_is_what_savi_compare_says(site: Site, runs: list[Path]) -> None:
    a, b = (read_evaluation(run).outcomes for run in runs)
    wanted = compare_outcomes("world", [(outcome, b[key]) for key, outcome in a.items()])
    found = need(site, "difference_0_0_2_1_0_1")
    assert found["accuracies"] == [wanted.accuracy_a, wanted.accuracy_b]
    assert (found["interval"], found["p"], found["by_task"]) == (wanted.interval, wanted.p, wanted.by_task)
    assert (found["questions"], found["left_out"]) == (ROWS, 0)
    assert "others" not in found


def test_sets_that_were_measured_differently_are_named(site: Site, runs: list[Path]) -> None:
    path = runs[1] / "results.json"
    results = json.loads(path.read_text())
    results["rounds"][1]["benchmarks"]["world"]["measured_on"]["frames"] = 4
    before = path.read_text()
    path.write_text(json.dumps(results))
    found = need(site, "difference_0_0_2_1_0_1")
    path.write_text(before)
    assert [place.partition("seed 0, ")[2][:8] for place in found["others"]] == ["8 frames", "4 frames"]


def test_whole_answers_come_in_parts_and_questions_about_one_video_share_its_number(
    site: Site, runs: list[Path]
) -> None:
    rows = [row for part in range(5) for row in need(site, f"0/answers_0_1_{part}")["rows"]]
    assert len(need(site, "0/answers_0_1_0")["rows"]) == PART
    assert len(rows) == ROWS
    assert [row["free_form"] for row in rows] == [row["free_form"] for row in rows_of(runs[0], 1)]
    assert {row["number"] for row in rows} == {0}
    assert need(site, "0/answers_0_1_5") == {"rows": []}
    assert site.document("0/held_1") is None
    assert site.document("0/answers_0_9_0") is None


def test_runs_of_an_older_savi_have_no_videos_and_say_so(site: Site, runs: list[Path]) -> None:
    (runs[1] / "benchmarks" / "round_00" / "videos.json").unlink()
    numbers = {row["number"] for row in need(site, "1/answers_0_0_0")["rows"]}
    assert len(numbers) == 13
    assert need(site, "1/held_0") == {"problem": "an older savi doesn't say where this video was"}


def test_only_settings_that_differ_are_compared(site: Site) -> None:
    assert need(site, "settings") == {"rows": [["trainer.max_epochs", "2", "3"]]}


def test_every_document_that_a_copy_holds_can_be_made(site: Site) -> None:
    names = list(site.names())
    some = {"settings", "difference_0_0_0_1_0_1", "0/learned", "1/outcomes_0_1", "0/answers_0_2_4", "0/held_0"}
    assert some <= set(names)
    assert [name for name in names if site.document(name) is None] == []
