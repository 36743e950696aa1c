"""What the page says of runs in every state, by their files alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from savi.cli import main
from savi.critique.store import PairStore
from savi.files import write_json
from savi.record.failure import write_failure
from savi.record.lock import lock_run, unlock_run
from savi.types import SaviError
from savi.view.media import Media
from savi.view.pairs import LATER, MISSING, OF_OTHERS
from savi.view.run import ViewedRun, newest_run
from savi.view.site import Site
from tests.report.made_up_runs import as_before, make_results
from tools.made_up_run import write_run

VIDEO = Path("/data/videos/gone.mp4")


def overview(run: Path) -> dict[str, Any]:
    document = Site([run], Media(run / "cache")).document("0/overview")
    assert document is not None
    return document


def said_of(run: Path) -> str:
    status = overview(run)["status"]
    return f"{status['state']}: {status['text']}"


def test_a_finished_run_and_one_that_was_killed_between_two_rounds(tmp_path: Path) -> None:
    assert said_of(write_run(tmp_path / "a", [VIDEO], 2)) == "finished: The run is finished: 2 rounds."
    killed = said_of(write_run(tmp_path / "b", [VIDEO], 2, planned=4))
    assert killed.startswith("stopped: The run was stopped or killed: round 3 is about to begin of 4.")


def test_a_run_that_was_killed_while_it_built_pairs_says_how_far_it_came(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [VIDEO], 1, clips=5, planned=2)
    PairStore(run, 1, "made up")
    assert "building the pairs of round 2, 0 of 5 clips of 2" in said_of(run)


def test_a_run_that_is_going_on_is_told_by_its_lock(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [VIDEO], 1, planned=2)
    version = ViewedRun(run).version()
    lock = lock_run(run)
    assert said_of(run).startswith("running: ")
    assert ViewedRun(run).version() != version
    unlock_run(lock)
    assert said_of(run).startswith("stopped: ")


def test_a_run_that_failed_says_why(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [VIDEO], 1, planned=2)
    write_failure(run, SaviError("Round 2, step 3: the loss is\nnan"))
    assert said_of(run) == "failed: The run failed: Round 2, step 3: the loss is nan"


def test_a_round_without_a_pair_is_a_failure(tmp_path: Path) -> None:
    PairStore(tmp_path, 0, "made up").finish()
    assert said_of(tmp_path) == "failed: The run failed: round 1 has no pair to learn from."


def test_a_run_that_only_has_a_lock_ended_before_it_began(tmp_path: Path) -> None:
    unlock_run(lock_run(tmp_path / "run" / "inside"))
    (tmp_path / "lock").touch()
    assert said_of(tmp_path) == "failed: The run ended before it began: it has no config.yaml."


def test_a_run_on_pairs_from_a_file_says_so(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [VIDEO], 1)
    results = json.loads((run / "results.json").read_text())
    write_json(run / "results.json", {**results, "run": {**results["run"], "pairs": "mine.jsonl"}})
    shown = overview(run)
    assert shown["given"]
    assert ["learns from", "pairs in mine.jsonl"] in [list(pair) for pair in shown["about"]]


def test_a_run_of_an_older_savi_opens_and_says_what_it_lacks(tmp_path: Path) -> None:
    write_json(tmp_path / "results.json", as_before(make_results(2)))
    shown = overview(tmp_path)
    assert [point["accuracy"] for point in shown["benchmarks"][0]["points"]] == pytest.approx([0.4, 0.45, 0.5])
    assert [one["pairs"] for one in shown["flow"]] == [599, 598]
    assert "an older savi doesn't say on which questions" in " ".join(shown["warnings"])


def test_a_damaged_file_is_a_warning_and_the_rest_is_shown(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [VIDEO], 1)
    (run / "results.json").write_text("{")
    (run / "config.yaml").write_text("a: [")
    assert len([text for text in overview(run)["warnings"] if "can't be read" in text]) == 2
    site = Site([run], Media(tmp_path / "cache"))
    assert [clip["id"] for clip in (site.document("0/round_1") or {})["clips"]] == ["clip_00000"]


def test_a_video_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    site = Site([write_run(tmp_path / "run", [VIDEO], 1)], Media(tmp_path / "cache"))
    assert site.document("0/media_0") == {"problem": f"the video is no longer at {VIDEO}"}


def test_rows_that_a_running_run_adds_are_taken_in(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [VIDEO], 1, clips=3)
    site = Site([run], Media(tmp_path / "cache"))
    assert site.document("0/round_2") is None
    other = write_run(tmp_path / "other", [VIDEO], 2, clips=3)
    for part in ("pairs", "traces"):
        for path in (other / part).glob("round_01*"):
            path.rename(run / part / path.name)
    assert len((site.document("0/round_2") or {})["clips"]) == 3
    assert [one["round"] for one in (site.document("0/clip_1") or {})["rounds"]] == [1, 2]


def test_what_the_policy_gave_to_a_pair_is_shown_with_it_or_why_it_is_missing(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [VIDEO], 2, clips=3)
    site = Site([run], Media(tmp_path / "cache"))

    def shown() -> tuple[list[Any], list[str | None]]:
        """The policy's values of each pair of the second clip, and what is said of each round."""
        rounds = (site.document("0/clip_1") or {})["rounds"]
        pairs = [question["pair"] for one in rounds for question in one["questions"] if "pair" in question]
        return [pair.get("policy") for pair in pairs], [one.get("no_policy") for one in rounds]

    def lines(part: str) -> list[dict[str, Any]]:
        paths = [run / part / f"round_{number:02d}.jsonl" for number in range(2)]
        records = [json.loads(line) for path in paths for line in path.read_text().splitlines()]
        return [record for record in records if record.pop("clip") == "clip_00001"]

    assert shown() == (lines("logps"), [None, None])
    assert len(lines("logps")) == len(lines("pairs")) > 2
    other = run / "logps" / "round_01.jsonl"
    other.write_text("".join(other.read_text().splitlines(keepends=True)[1:]))
    assert shown()[1] == [None, OF_OTHERS]
    other.unlink()
    assert shown()[1] == [None, MISSING]
    results = json.loads((run / "results.json").read_text())
    write_json(run / "results.json", {**results, "rounds": results["rounds"][:2]})
    assert shown()[1] == [None, LATER]


def test_the_newest_run_is_the_one_written_to_last(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_run(tmp_path / name / "version_0", [VIDEO], 1)
    assert newest_run(tmp_path) == tmp_path / "b" / "version_0"
    (tmp_path / "a" / "version_0" / "metrics.csv").write_text("step\n")
    assert newest_run(tmp_path) == tmp_path / "a" / "version_0"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["nowhere"], "nowhere is no run"),
        (["RUN", "RUN/."], "RUN is given twice"),
        (["RUN", "--clips", "none"], "--clips goes with --output"),
        (["RUN", "--output", "full"], "isn't an empty folder"),
        (["RUN", "--port", "99999999"], "--port 99999999"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "RUN", [VIDEO], 1)
    (tmp_path / "full" / "file").mkdir(parents=True)
    with pytest.raises(SystemExit) as stop:
        main(["view", *arguments])
    assert stop.value.code == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert line in said


def test_runs_of_one_name_are_told_apart_by_their_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [write_run(tmp_path / place / "demo" / "version_0", [VIDEO], 1) for place in ("here", "there")]
    monkeypatch.chdir(runs[0])
    other = write_run(tmp_path / "demo" / "version_1", [VIDEO], 1)
    site = Site([Path("../version_0"), runs[1], other], Media(tmp_path / "cache"))
    names = [one["name"] for one in (site.document("site") or {})["runs"]]
    assert names == [str(runs[0]), str(runs[1]), "demo/version_1"]


def test_rewards_that_are_not_finite_are_left_out_and_said_to_be(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [VIDEO], 1)
    lines = (run / "metrics.csv").read_text().splitlines()
    lines[3:5] = ["0,2,nan,nan,nan", "0,3,1.0,inf,-inf"]
    (run / "metrics.csv").write_text("\n".join([*lines, ""]))
    shown = overview(run)
    assert shown["rewards"]["steps"] == [0, 1, *range(4, 40)]
    assert "The rewards of 2 steps aren't drawn: they are not finite." in shown["warnings"]


def test_held_out_clips_are_shown_under_the_names_of_their_figures(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [VIDEO], 1)
    results = json.loads((run / "results.json").read_text())
    for entry, mean in zip(results["rounds"], (0.5, 0.75), strict=True):
        agreement = {"mean": mean, "of": 8, "interval": [mean - 0.1, mean + 0.1]}
        entry["held_out"] = {"clips": 4, "questions": 8, "different": 0.25, "agreement": agreement}
    write_json(run / "results.json", results)
    base, last = overview(run)["held_out"]
    assert (base["round"], last["round"], last["clips"]) == (0, 1, 4)
    assert last["figures"]["samples that agree with the reply"] == {"mean": 0.75, "interval": [0.65, 0.85]}
    assert last["figures"]["different replies"]["mean"] == 0.25
