"""From finished runs to one file, and from that file alone to the page."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from savi.world import BASE
from savi.world.questions import queries
from savi.world.scenes import make_scene
from tests.tools.paper.made_up_study import write_measurement, write_run
from tools.base_model.curriculum import Prior
from tools.paper import tables
from tools.paper.__main__ import main
from tools.paper.claims import Claim, claims
from tools.paper.gather import Row, gather, miniature_favorite, prior_errors, read_card, read_rows, taught_with
from tools.paper.numbers import Estimate, Study, estimate, of_pairs, say, show
from tools.paper.page import write_page
from tools.paper.plan import Base, Fit, Measurement, Task, fits_of, plan
from tools.paper.sentences import blind_gains, compared

WORLD = Base("world")
READY = {"questions": 9, "malformed": 0.0, "changed": 0.5, "agrees_with_itself": 0.7, "agrees_from_another": 0.9}


def test_both_intervals_by_hand() -> None:
    # Runs of three bases: the means are 2, 4 and 9, their mean is 5, their SD sqrt(13) = 3.606.
    # Over bases, t(2) = 4.303: 4.303 * 3.606 / sqrt(3) = 8.957.
    # Over the six runs 1, 3, 4, 4, 8, 10: SD sqrt(56 / 5) = 3.347, t(5) = 2.571: 2.571 * 3.347 / sqrt(6) = 3.513.
    found = estimate([("1", 1.0), ("1", 3.0), ("2", 4.0), ("2", 4.0), ("3", 8.0), ("3", None), ("3", 10.0)])
    assert found is not None
    assert (found.mean, found.bases, found.runs) == (5.0, 3, 6)
    assert found.over_bases == pytest.approx(8.957, abs=1e-3)
    assert found.over_runs == pytest.approx(3.513, abs=1e-3)
    assert found.half == found.over_bases
    assert found.sign == 0
    assert show(found, signed=True, scale=1) == "+5.0 ± 9.0 (3.5)"
    assert say(found, signed=True, scale=1) == "+5.0 ± 9.0"


def test_the_wider_interval_decides_even_where_it_is_the_one_over_runs() -> None:
    # Means of 3 and 3: nothing over bases. Over the runs 1, 5, 1, 5: SD 2.309, t(3) = 3.182: 3.674, not clear of 3.
    found = of_pairs({("1", 0): 1.0, ("1", 1): 5.0, ("2", 0): 1.0, ("2", 1): 5.0})
    assert found is not None
    assert (found.over_bases, found.sign) == (0.0, 0)
    assert found.half == found.over_runs == pytest.approx(3.674, abs=1e-3)


def test_every_base_has_one_voice_whatever_its_number_of_runs() -> None:
    # Means of 0 and 4, and not the mean of four runs. t(1) = 12.706: 12.706 * 2.828 / sqrt(2) = 25.412.
    found = estimate([("1", 0.0), ("2", 3.0), ("2", 4.0), ("2", 5.0)])
    assert found is not None
    assert found.mean == 2.0
    assert found.over_bases == pytest.approx(25.412, abs=1e-3)


def test_a_single_base_has_no_interval_over_bases() -> None:
    # 1, 2, 3: SD 1, t(2) = 4.303: 4.303 / sqrt(3) = 2.484
    found = estimate([("1", 1.0), ("1", 2.0), ("1", 3.0)])
    assert found is not None
    assert (found.over_bases, found.half, found.sign) == (None, None, 0)
    assert found.over_runs == pytest.approx(2.484, abs=1e-3)
    assert (show(found, scale=1), say(found, scale=1)) == ("2.0 (2.5)", "2.0")
    assert estimate([("1", 0.3)]) == Estimate(0.3, None, None, 1, 1)
    assert show(estimate([("1", 0.3)])) == "30.0"
    assert estimate([("1", None)]) is None
    assert show(None) == say(None) == "-"


def test_a_number_that_all_runs_of_a_base_share_has_no_spread() -> None:
    same = [("1", 0.5), ("1", 0.5), ("2", 0.6), ("2", 0.6), ("3", None)]
    found = estimate(same)
    assert found is not None
    # Of 0.5 and 0.6: SD 0.0707, t(1) = 12.706: 12.706 * 0.0707 / sqrt(2) = 0.635.
    assert found.over_bases == pytest.approx(0.635, abs=1e-3)
    assert found.over_runs is None
    other = estimate([*same, ("2", 0.7)])
    assert other is not None
    assert other.over_runs is not None


@pytest.mark.parametrize(
    ("by_base", "verdict"),
    [
        # Means of 4, 4.1 and 3.9 over three bases: ± 0.2; over all runs ± 0.7.
        ({"1": [3, 4, 5], "2": [4.1, 5.1, 3.1], "3": [3.9]}, "agrees"),
        ({"1": [-3, -4, -5], "2": [-4, -5, -3]}, "disagrees"),
        # Means of 2 and 8: 5 ± 38 over two bases, though 5 ± 3.4 over all runs is clear of zero.
        ({"1": [1, 2, 3], "2": [7, 8, 9]}, "not told apart"),
        ({"1": [-3, -4, -5]}, "one base only"),
        ({"1": [30]}, "one base only"),
        ({"1": [-3, 3, 1], "2": [2, -4, 5]}, "not told apart"),
        # Clear of zero over six bases (4.7 ± 3.0), but one of them is on the other side.
        ({"1": [6], "2": [6], "3": [6], "4": [6], "5": [6], "6": [-1]}, "not told apart"),
        ({}, "not run"),
    ],
)
def test_a_claim_is_decided_by_the_wider_interval_and_every_base(by_base: dict[str, list[float]], verdict: str) -> None:
    differences = {(base, seed): value for base, values in by_base.items() for seed, value in enumerate(values)}
    assert Claim("", differences).verdict == verdict


def test_errors_of_the_prior_are_those_that_take_the_favourite(tmp_path: Path) -> None:
    prior = Prior(0)
    lines, expected = [], [0, 0, 0]
    for seed in range(40):
        for query in queries(make_scene(seed)):
            favourite = prior.favourite(query)[0]
            choice = [favourite, query.answer][len(lines) % 2]
            record = {"task": query.kind, "question": query.text, "answer": query.answer, "choice": choice}
            lines.append(json.dumps(record) + "\n")
            if favourite != query.answer:
                expected[0] += 1
                expected[1 + (choice == query.answer)] += 1
    (tmp_path / "items.jsonl").write_text("".join(lines))
    assert list(prior_errors(tmp_path / "items.jsonl", miniature_favorite("teach --seed 0")).values()) == expected
    assert min(expected) > 100


def test_a_card_is_read() -> None:
    card = (
        "python -m tools.base_model.teach --seed 7 --kind weak\n"
        "| right option most likely, of four | 51.0% |\n| greedy answers right | 48.2% |\n"
        "| ... after criticism and revision | 82.3% |\n| sampled answers right (temperature 1) | 49.3% |\n"
        "| ... after criticism and revision | 80.0% ± 3.1 |\n| own questions that are valid for the clip | 91.2% |\n"
        "| changed answers that end up right | 79.0% |\n| motion | 42.0% ± 8.0 | 59.0% ± 7.9 |\n"
    )
    read = read_card(card)
    assert read["greedy_revised"] - read["greedy"] == pytest.approx(0.341)
    assert read["sampled_revised"] - read["sampled"] == pytest.approx(0.307)
    assert (read["valid"], read["changed_right"], read["kinds"]) == (0.912, 0.79, {"motion": [0.42, 0.59]})
    assert taught_with(card) == 7
    assert len(read_card((BASE / "README.md").read_text())["kinds"]) == 6


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Three seeds of VideoSAVi at 60, 61, 62 %, of a control 20 points below; one set; a run that failed."""
    tasks = plan(tmp_path / "study", [WORLD], [0, 1, 2])
    by_name = {fit.name: fit for fit in fits_of(tasks)}
    for seed, lift in enumerate((0.0, 0.01, 0.02)):
        write_run(by_name[f"videosavi-{seed}"], lift, READY | {"labelled": 99, "greedy": 0.5, "revised": 0.8})
        write_run(by_name[f"control_random-{seed}"], lift - 0.2, READY)
        write_run(by_name[f"tpo-{seed}"], 0.01)
        write_measurement(Measurement(by_name[f"videosavi-{seed}"], "forms"), 0.7 + lift)
    write_measurement(Measurement(by_name["videosavi-0"], "forms", of_base=True), 0.45)
    file = tmp_path / "docs" / "paper" / "results.jsonl"
    assert gather(tasks, file, {"world/sft-0"}) == 13
    return file


def test_a_run_is_one_line(results: Path) -> None:
    rows = {row.get("label", "study"): row for row in read_rows(results)}
    assert rows["study"] == {
        "row": "study",
        "quick": False,
        "fits": 3 * 14 + 10 + 3 * 7,
        "measurements": 4 * (3 * 3 + 1),
    }
    base = rows["world"]
    assert (base["embedded"], base["kind"], base["taught_with"]) == (True, "main", 1)
    assert 1.2e6 < base["parameters"] < 1.4e6
    run = rows["world/videosavi-1"]
    assert run["command"].startswith(
        "savi fit --config=experiments/paper/videosavi.yaml --model.base.path=world --seed_everything=1 --runs="
    )
    assert (run["rounds"][4]["accuracy"], run["rounds"][4]["pairs"], run["readiness"]["revised"]) == (0.61, 596, 0.8)
    assert run["rounds"][0]["prior"]["driven"] == run["rounds"][4]["prior"]["right"] > 0
    assert rows["world/sft-0"]["failed"]
    assert rows["world/base on forms"]["command"].endswith("--ckpt_path=null")
    assert results.stat().st_size < 4000 * len(rows)


def test_gathering_again_changes_nothing_and_nothing_finished_leaves_it_alone(results: Path, tmp_path: Path) -> None:
    written = results.read_text()
    old = written.replace('"day": "2', '"day": "1')
    results.write_text(old)
    gather(plan(tmp_path / "study", [WORLD], [0, 1, 2]), results, {"world/sft-0"})
    assert results.read_text() == old
    assert gather(plan(tmp_path / "empty", [WORLD], [0]), results) == 0
    assert results.read_text() == old


def test_the_page_is_made_of_one_file_alone(results: Path, tmp_path: Path) -> None:
    write_page(results, tmp_path / "docs" / "paper.md")
    page = (tmp_path / "docs" / "paper.md").read_text()
    flat = " ".join(page.split())
    assert "**All rests on one base: no interval over bases exists" in flat
    assert "Failed: `world/sft-0`" in flat
    parts = page.split("## What the pairs say")
    rows, pairs = (
        {line.split("`")[1]: line for line in part.splitlines() if line.count("`") == 2 and line.startswith("| ")}
        for part in parts
    )
    # 60, 61, 62: SD 1 point, ± 2.484; 20 points less, each from a base of 40. One base: a spread and no interval.
    assert "| 3 | 41.0 (2.5) | +1.0 (2.5) | -20.0 (0.0) |" in rows["control_random"]
    assert "| 0 | - | - | - |" in rows["sft"]
    assert "On one base VideoSAVi changes the accuracy by +21.0 points." in flat
    assert "The largest mean gain of a control is +1.0 points, in its own words +20.0 (random direction)." in flat
    assert "±" not in flat.split("## Setting")[0]
    assert "two choices were made with test runs in sight" in flat.lower()
    # 60 factual errors before, 60 · 0.67⁴ = 12 after four rounds.
    assert "| factual inaccuracy | 60.0 |" in page
    assert "| 12.0 | 80.0 | 45, 29, 20, 12 | 73 |" in page
    assert "| `adversarial`: questions whose language prior is wrong | 100.0 | 100.0 | - | 0.0 |" in page
    assert "| `forms`: unseen question forms | 71.0 (2.5) | - | - | 45.0 | 72.5 / 66.0 / 59.7 |" in page
    # Of each run's three pairs one question has no answer; chosen is right in both others, rejected in one.
    assert "| 3 | 100.0 | 50.0 |" in pairs["control_random"]
    # 408.4 and 387.1 points over six benchmarks; the base and TPO have the same sum.
    assert "| VideoSAVi is above its base | +21.0 (2.5) | +21.0 | 3 | +3.5 | **one base only** |" in page
    # 60, 61, 62 against 61 each.
    assert "| VideoSAVi is above TPO | +0.0 (2.5) | +0.0 | 3 | +3.5 | **one base only** |" in page
    names = {path.name for path in (tmp_path / "docs" / "paper").iterdir()}
    assert names == {"results.jsonl", "rounds.png", "critic.png"}


def on_three_bases(rows: list[Row]) -> list[Row]:
    """The rows of the one base, and twice again as if of others: `2` ends 3 points higher, `3` 3 points lower."""
    copies = [*rows]
    for name, lift in (("2", 0.03), ("3", -0.03)):
        for row in rows:
            copy = row | {"label": row.get("label", "").replace("world", name)}
            if row["row"] == "base":
                copies.append(copy)
            elif "rounds" in row:
                *rounds, last = row["rounds"]
                rounds.append(last | {"accuracy": last["accuracy"] + lift})
                copies.append(copy | {"base": name, "rounds": rounds})
    return copies


def test_the_page_means_the_interval_over_bases(results: Path, tmp_path: Path) -> None:
    rows = on_three_bases(read_rows(results))
    (tmp_path / "three.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_page(tmp_path / "three.jsonl", tmp_path / "paper.md")
    page = (tmp_path / "paper.md").read_text()
    flat = " ".join(page.split())
    # Gains of 21, 24 and 18 points a base: SD 3, t(2) = 4.303: 4.303 * 3 / sqrt(3) = 7.453.
    # All runs, 17 to 25: SD sqrt(60 / 8) = 2.739, t(8) = 2.306: 2.306 * 2.739 / 3 = 2.105.
    assert "changes the accuracy of its base by +21.0 ± 7.5 points (each base: +21.0, +24.0, +18.0)." in flat
    assert "| +21.0 ± 7.5 (2.1) | +21.0, +24.0, +18.0 | 9 | +3.5 | **agrees** |" in page
    # TPO is at 61 everywhere, and moves with VideoSAVi from base to base: differences of -1, 0 and 1 on each.
    # Over bases 0; over all runs SD sqrt(6 / 8) = 0.866: 2.306 * 0.866 / 3 = 0.666, the wider one.
    assert "VideoSAVi is not told apart from TPO (temporal pairs only) (+0.0 ± 0.7)." in flat
    assert "All rests on one base" not in flat
    fewer = [row for row in rows if (row.get("base"), row.get("experiment")) != ("3", "tpo")]
    # Six runs: SD sqrt(4 / 5) = 0.894, t(5) = 2.571: 2.571 * 0.894 / sqrt(6) = 0.939.
    assert "TPO (temporal pairs only) (+0.0 ± 0.9 on 2 bases only)" in compared(Study(fewer))


def test_a_control_that_gains_from_wrong_pairs_is_told_of(results: Path) -> None:
    rows = on_three_bases(read_rows(results))
    assert blind_gains(Study(rows)) == ""
    method = {
        (row["base"], row["seed"]): row["rounds"]
        for row in rows
        if row.get("experiment") == "videosavi" and "rounds" in row
    }
    for row in rows:
        if row.get("experiment") == "control_random":
            row["rounds"] = method[row["base"], row["seed"]]
            row["first_pairs"] = {"answerable": 4, "chosen": 1, "rejected": 3}
    said = blind_gains(Study(rows))
    assert said.startswith(
        "`control_random` gains +21.0 ± 7.5 points from pairs whose chosen response is right less often (25.0 ± 0.0 %) "
        "than the rejected one (75.0 ± 0.0 %)."
    )
    # On one base there is no interval, and nothing is claimed.
    assert blind_gains(Study([row for row in rows if row.get("base") not in ("2", "3")])) == ""


def test_the_page_is_the_same_in_every_byte(results: Path, tmp_path: Path) -> None:
    written = []
    for folder in ("one", "two"):
        write_page(results, tmp_path / folder / "paper.md")
        written.append([file.read_bytes() for file in sorted((tmp_path / folder).rglob("*.*")) if file.is_file()])
    assert written[0] == written[1]
    assert len(written[0]) == 3


def test_todays_filters_are_set_against_the_earlier_ones_on_the_same_base_and_seeds(tmp_path: Path) -> None:
    tasks = plan(tmp_path / "study", [WORLD], [0, 1, 2])
    by_name = {fit.name: fit for fit in fits_of(tasks)}
    for seed in (0, 1, 2):
        write_run(by_name[f"videosavi-{seed}"], 0.01 * seed)
    for seed in (0, 1):
        write_run(by_name[f"filtered_videosavi-{seed}"], 0.05)
    file = tmp_path / "results.jsonl"
    gather(tasks, file)
    cells = next(row for row in tables.filtered(Study(read_rows(file))).splitlines() if "filtered_videosavi" in row)
    _, name, _, runs, earlier, today, *_, difference, _ = (cell.strip() for cell in cells.split("|"))
    # Seeds 0 and 1 alone: 60 and 61 % against 65 %; differences of 5 and 4 points.
    assert (name, runs, earlier[:4], today[:4], difference[:4]) == ("VideoSAVi", "2", "60.5", "65.0", "+4.5")


def test_sizes_and_guards_have_tables_of_their_own(tmp_path: Path) -> None:
    fits = [Fit(tmp_path / "study", WORLD, "videosavi", seed) for seed in (0, 1)]
    for seed, fit in enumerate(fits):
        write_run(fit, 0.01 * seed)
    gather(fits, tmp_path / "results.jsonl")
    rows = read_rows(tmp_path / "results.jsonl")
    base = next(row for row in rows if row["row"] == "base")
    for kind in ("small", "weak"):
        rows.append(base | {"label": f"{kind}-1", "kind": kind, "parameters": 600_000})
        rows += [row | {"base": f"{kind}-1", "label": f"{kind}-1"} for row in rows if row.get("base") == "world"]
    (tmp_path / "more.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_page(tmp_path / "more.jsonl", tmp_path / "paper.md")
    page = (tmp_path / "paper.md").read_text()
    assert "| small | 0.6 M | 2 | 40.0 | 60.5 (6.4) | +20.5 (6.4) |" in page
    assert "| paper, 1B | 1B | 1 | 49.5 | 52.3 | +2.8 |  |" in page
    # Malformed falls from 1.8 % after round 1 to 1.2 % at the end.
    assert "| 1.2 | 1.8 | 40.0 → 45.0 → 50.0 → 55.0 → 60.5 |" in page
    # Neither is in the main tables: two runs, one base.
    assert "| +20.5 (6.4) | +20.5 | 2 | +3.5 | **one base only** |" in page
    assert {claim.text: claim.verdict for claim in claims(Study(rows))}[
        "The large model gains as well (paper: 2B)"
    ] == ("not run")


def test_a_study_that_is_stopped_is_gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(tasks: list[Task], jobs: int, logs: Path, failed: set[str]) -> None:
        write_run(fits_of(tasks)[0], 0.0)
        failed.add("world/sft-0")
        raise KeyboardInterrupt

    monkeypatch.setattr("tools.paper.__main__.run_all", stopped)
    page = tmp_path / "paper.md"
    monkeypatch.setattr(sys, "argv", ["paper", "--quick", f"--study={tmp_path / 'study'}", f"--page={page}"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 130
    said = " ".join(page.read_text().split())
    assert "1 of 6 runs and 0 of 4 measurements" in said
    assert "Failed: `world/sft-0`" in said
    assert "This is the quick study" in said
    assert "A single base has no interval over bases." in said
