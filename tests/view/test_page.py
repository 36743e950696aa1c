"""The page in a real browser: one session that looks, clicks and types as a person does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from savi.cli import main
from savi.critique.clip_results import ClipResult
from savi.critique.store import PairStore
from savi.data.labelled import read_labelled
from savi.files import write_json
from savi.record.failure import write_failure
from savi.record.lock import lock_run, unlock_run
from savi.types import Clip, PreferencePair, RefusedPair, SaviError, Trace
from savi.world.clips import training_clips
from tests.report.made_up_runs import as_before, make_results
from tests.view.browser import Visit, browser, until
from tools.made_up_run import write_run
from tools.view_pictures import served

HOSTILE = "<img src=x onerror='document.title=1'><script>document.title=2</script></script>"
"""What a model may have written."""


@pytest.fixture(scope="module")
def made_up(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two rounds whose model writes markup."""
    folder = tmp_path_factory.mktemp("made_up")
    videos = [clip.path for clip in training_clips(folder / "clips", 4, seed=0)]
    return write_run(
        folder / "demo" / "version_0", videos, 2, clips=60, questions=4, words=4, change=lambda text: text + HOSTILE
    )


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as launched:
        yield launched


@pytest.fixture(scope="module")
def address(made_up: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served([made_up], tmp_path_factory.mktemp("cache")) as url:
        yield url


@pytest.fixture
def visit(chromium: Any, address: str) -> Iterator[Visit]:
    context = chromium.new_context()
    visited = Visit(context)
    yield visited
    visited.check(address)
    context.close()


def test_the_overview_shows_accuracy_filters_rewards_and_the_state_of_the_run(visit: Visit, address: str) -> None:
    page = visit.page
    page.goto(address)
    page.wait_for_selector("figure svg")
    text = page.inner_text("main")
    for wanted in ("finished", "accuracy by round", "errors by kind", "Rewards in training", "made-up/model-7B"):
        assert wanted in text
    expect(page.locator("figure svg")).to_have_count(6)
    expect(page.locator(".flows figure:first-child svg")).to_contain_text("240questions")


def test_clips_are_filtered_searched_and_paged_and_one_is_linked_to(visit: Visit, address: str) -> None:
    page = visit.page
    page.goto(f"{address}#/pairs?round=1")
    page.wait_for_selector(".grid li")
    assert page.inner_text(".results [role=status]") == "60 of 60 clips, 240 questions"
    page.click("[rel=next]")
    expect(page.locator(".pages span")).to_have_text("page 2 of 3")
    page.select_option("#aspect", "temporal")
    expect(page.locator(".results [role=status]")).to_have_text("60 of 60 clips, 120 questions")
    page.keyboard.press("/")
    page.fill("#q", "are there in clip_00007")
    page.select_option("#aspect", "")
    expect(page.locator(".results [role=status]")).to_have_text("1 of 60 clips, 1 questions")
    assert "q=are+there+in+clip_00007" in page.url
    page.click(".grid a")
    page.wait_for_selector(".question.wanted")
    assert "clip=clip_00007" in page.url
    assert page.locator(".question.wanted").get_attribute("id") == "q-1-0"
    assert "Asked in another round too" in page.inner_text(".question.wanted")


def test_a_search_that_is_left_at_once_changes_no_address(visit: Visit, address: str) -> None:
    page = visit.page
    page.goto(f"{address}#/pairs?round=1")
    page.fill("#q", "red")
    page.goto(f"{address}#/overview")
    page.wait_for_selector("figure svg")
    page.wait_for_timeout(300)
    assert page.url == f"{address}#/overview"


def test_a_clip_plays_and_goes_from_one_sampled_frame_to_the_next(visit: Visit, address: str) -> None:
    page = visit.page
    page.goto(f"{address}#/pairs?round=1&clip=clip_00002")
    until(page, "document.querySelector('video')?.readyState >= 2")
    assert page.locator(".timeline .sampled").count() == 8
    page.keyboard.press(".")
    until(page, "document.querySelector('video').currentTime > 0.12")
    page.keyboard.press("p")
    until(page, "!document.querySelector('video').paused && document.querySelector('video').currentTime > 0.5")
    page.keyboard.press("j")
    expect(page.locator(".clip-name")).to_have_text("clip_00003")


def test_what_a_model_wrote_stays_text(visit: Visit, address: str) -> None:
    page = visit.page
    page.goto(f"{address}#/pairs?round=1&clip=clip_00002")
    page.wait_for_selector(".question")
    assert HOSTILE in page.inner_text(".question h4 >> nth=0")
    assert page.locator(".question img, .question script").count() == 0
    assert page.title().startswith("Pairs and traces")


def test_ten_pairs_are_judged_by_keys_and_the_readiness_check_reads_what_was_found_right(
    visit: Visit, address: str, made_up: Path
) -> None:
    page = visit.page
    page.goto(f"{address}#/judge")
    for judged in range(10):
        expect(page.locator(".task [role=status]")).to_have_text(f"{judged} judged")
        page.keyboard.press("1234"[judged % 4])
    expect(page.locator(".task [role=status]")).to_have_text("10 judged")
    assert "chosen" not in page.inner_text(".task")
    page.click(".agreement summary")
    expect(page.locator(".agreement tbody tr")).to_have_count(3)
    judgments = [json.loads(line) for line in (made_up / "judged" / "judgments.jsonl").read_text().splitlines()]
    assert [one["picked"] for one in judgments[2:10:4]] == ["both", "both"]
    assert {one["picked"] for one in judgments[:2]} <= {"chosen", "rejected"}
    labelled = read_labelled(made_up / "judged" / "labelled.jsonl")
    assert len(labelled) == len([one for one in judgments if one["picked"] != "neither"])
    said = {(one["question"].strip(), one[side].strip()) for one in judgments for side in ("chosen", "rejected")}
    assert {(one.question, one.answer) for one in labelled} <= said


def test_a_lost_question_is_found_and_linked_to(visit: Visit, address: str) -> None:
    page = visit.page
    page.goto(f"{address}#/learned?from=0-0&to=0-1")
    lost = int(page.locator("table a").nth(1).inner_text())
    assert lost > 0
    page.locator("table a").nth(1).click()
    expect(page.locator(".results [role=status]")).to_have_text(f"{lost} of 240 questions")
    question = page.locator(".answers a").first.inner_text()
    page.locator(".answers a").first.click()
    expect(page.locator(".asked")).to_have_text(question)
    assert HOSTILE in question
    assert "change=lost" in page.url
    until(page, "document.querySelector('video')?.readyState >= 2")
    page.keyboard.press("j")
    expect(page.locator(".trail")).to_contain_text("Previous question")
    page.keyboard.press("Escape")
    expect(page.locator(".results [role=status]")).to_have_text(f"{lost} of 240 questions")


SEEN = {
    "overview": ".chart svg",
    "pairs?round=1": ".grid li",
    "pairs?round=1&clip=clip_00002&question=1-0": "video",
    "judge": "video",
    "learned": ".answers li",
    "compare": "pre",
}
"""Views, and what is there when one is whole."""


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_no_view_has_a_serious_fault_for_people_with_disabilities(
    chromium: Any, address: str, theme: str, width: int
) -> None:
    axe = (Path(__file__).parent / "axe" / "axe.min.js").read_text()
    context = chromium.new_context(color_scheme=theme, viewport={"width": width, "height": 900})
    page = context.new_page()
    page.goto(address)
    page.evaluate(axe)
    # What doesn't depend on the colors is the same in both.
    rules = "{}" if theme == "light" else "{runOnly: ['color-contrast']}"
    for view, seen in SEEN.items():
        page.goto(f"{address}#/{view}")
        page.wait_for_selector(f".view.{view.partition('?')[0]} {seen}")
        faults = page.evaluate(f"axe.run({rules}).then((found) => found.violations)")
        serious = [
            f"{one['id']}: {node['html'][:200]} {node['failureSummary']}"
            for one in faults
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]
        assert serious == [], view
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), view
    context.close()


def test_several_runs_of_any_state_are_on_one_page(chromium: Any, made_up: Path, tmp_path: Path) -> None:
    gone = [made_up / "gone.mp4"]
    killed = write_run(tmp_path / "killed", gone, 1, planned=3, change=lambda text: text + HOSTILE)
    older = tmp_path / "older"
    write_json(older / "results.json", as_before(make_results(2)))
    with served([made_up, killed, older], tmp_path / "cache") as address:
        context = chromium.new_context()
        visited = Visit(context)
        page = visited.page
        page.goto(address)
        for name, state in (("killed", "stopped"), ("older", "measured")):
            page.select_option("#run", label=name)
            expect(page.locator("h1")).to_have_text(name)
            expect(page.locator(".status b")).to_have_text(state)
        page.goto(f"{address}#/compare")
        expect(page.locator("main")).to_contain_text("killed, round 1")
        page.click("text=question by question")
        expect(page.locator("#to option:checked")).to_have_text("killed, round 1")
        expect(page.locator(".gain")).to_contain_text("on 240 questions about 60 videos")
        page.goto(f"{address}#/pairs?run=2")
        expect(page.locator("main")).to_contain_text("No round was begun")
        page.goto(f"{address}#/pairs?run=1&round=1&clip=clip_00000")
        expect(page.locator(".player")).to_contain_text("the video is no longer at")
        visited.check(address)
        context.close()


def test_a_run_that_goes_on_a_failed_one_and_one_on_pairs_from_a_file_say_what_they_are(
    chromium: Any, tmp_path: Path
) -> None:
    running, failed = (write_run(tmp_path / name, [tmp_path / "gone.mp4"], 1, planned=2) for name in ("a", "failed"))
    write_failure(failed, SaviError("the loss is nan"))
    given = write_given_run(tmp_path / "given", tmp_path / "gone.mp4")
    with served([running, failed, given], tmp_path / "cache") as address:
        context = chromium.new_context()
        visited = Visit(context)
        page = visited.page
        page.goto(address)
        expect(page.locator(".status b")).to_have_text("stopped")
        lock = lock_run(running)
        expect(page.locator(".status b")).to_have_text("running", timeout=20_000)  # nobody has loaded it anew
        unlock_run(lock)
        page.select_option("#run", label="failed")
        expect(page.locator(".status")).to_contain_text("The run failed: the loss is nan")
        page.select_option("#run", label="given")
        expect(page.locator("dl")).to_contain_text("pairs in mine.jsonl")
        page.goto(f"{address}#/pairs?run=2&clip=v")
        expect(page.locator(".question").nth(0)).to_contain_text("a cat")
        expect(page.locator(".question").nth(1)).to_contain_text("mine.jsonl, line 2: too long")
        visited.check(address)
        context.close()


def write_given_run(folder: Path, video: Path) -> Path:
    """A run on two pairs from a file, of which one was refused."""
    pair = PreferencePair("v", str(video), 0, "other", "what?", "what?", "a cat", "a dog", "", -1.0, -2.0, 0, "own")
    traces = (
        Trace("v", 0, "other", "what?", (), "pair"),
        RefusedPair("v", 0, "other", "why?", (), "overlong", place="mine.jsonl, line 2", reason="too long"),
    )
    store = PairStore(folder, 0, "key")
    store.commit([ClipResult(Clip("v", video), (pair,), traces)])
    store.finish()
    run = {"name": "given", "seed": 0, "base": "world", "pairs": "mine.jsonl"}
    write_json(folder / "results.json", {"run": run, "rounds": [{"round": 1, "pairs": 1, "filters": {"overlong": 1}}]})
    return folder


def test_a_page_of_files_opens_from_the_disk_and_plays_its_clips(
    chromium: Any, made_up: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    main(["view", str(made_up), "--output", str(tmp_path / "page")])
    context = chromium.new_context()
    visited = Visit(context)
    start = (tmp_path / "page" / "index.html").as_uri()
    visited.page.goto(f"{start}#/pairs?round=2&clip=clip_00002")
    visited.page.wait_for_selector(".question")
    until(visited.page, "document.querySelector('video')?.readyState >= 2")
    visited.page.goto(f"{start}#/pairs?round=1")
    visited.page.fill("#q", "are there in clip_00007")
    expect(visited.page.locator(".results [role=status]")).to_have_text("1 of 60 clips, 1 questions")
    visited.page.click("text=Overview")
    visited.page.wait_for_selector("figure svg")
    visited.check((tmp_path / "page").as_uri())
    context.close()


def test_a_page_of_files_may_leave_the_clips_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["view", str(write_given_run(tmp_path / "run", tmp_path / "v.mp4")), f"--output={tmp_path}/p", "--clips=none"])
    assert "left out of this copy" in (tmp_path / "p" / "data" / "0" / "media_0.js").read_text()
    assert not (tmp_path / "p" / "media").exists()
    assert "page: 100%" in capsys.readouterr().err
