"""The page in a real browser: one session that looks, clicks and types as a person does."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from savi.cli import main
from savi.data.labelled import read_labelled
from savi.files import write_json
from savi.world.clips import training_clips
from tests.report.made_up_runs import as_before, make_results
from tests.view.browser import browser
from tools.made_up_run import write_run
from tools.view_pictures import served

DEMO = Path(__file__).parents[2] / "experiments" / "demo.yaml"

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


class Visit:
    """A page that keeps what it asked for and what it complained about."""

    def __init__(self, context: Any) -> None:
        self.page = context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def check(self, start: str) -> None:
        """No complaint, and nothing asked for but what begins with `start`."""
        assert self.complaints == []
        assert self.requests
        assert [url for url in self.requests if not url.startswith((start, "data:"))] == []


def until(page: Any, script: str) -> None:
    """Wait until a script is true. Playwright's own way needs eval(), which the page forbids."""
    end = time.monotonic() + 20
    while not page.evaluate(script):
        assert time.monotonic() < end, script
        time.sleep(0.05)


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
    judgements = [json.loads(line) for line in (made_up / "judged" / "judgements.jsonl").read_text().splitlines()]
    assert [one["picked"] for one in judgements[2:10:4]] == ["both", "both"]
    assert {one["picked"] for one in judgements[:2]} <= {"chosen", "rejected"}
    labelled = read_labelled(made_up / "judged" / "labelled.jsonl")
    assert len(labelled) == len([one for one in judgements if one["picked"] != "neither"])
    said = {(one["question"].strip(), one[side].strip()) for one in judgements for side in ("chosen", "rejected")}
    assert {(one.question, one.answer) for one in labelled} <= said


def test_a_lost_question_is_found_and_linked_to(visit: Visit, address: str) -> None:
    page = visit.page
    page.goto(f"{address}#/learnt?from=0-0&to=0-1")
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
    "learnt": ".answers li",
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


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A round of the demo over a few clips."""
    runs = tmp_path_factory.mktemp("real")
    few = ["--data.clip_count=3", "--data.benchmark_clips=1", "--trainer.max_epochs=1", "--data.readiness_clips=1"]
    few.append("--model.base.nf4=false")
    main(["fit", f"--config={DEMO}", f"--runs={runs}", *few])
    return runs / "demo" / "version_0"


def test_a_real_run_opens_with_what_its_files_say(chromium: Any, real: Path, tmp_path: Path) -> None:
    results = json.loads((real / "results.json").read_text())
    with served([real], tmp_path) as address:
        context = chromium.new_context()
        visited = Visit(context)
        page = visited.page
        page.goto(address)
        expect(page.locator(".status")).to_have_text("finished The run is finished: 1 round.")
        expect(page.locator(".tiles")).to_contain_text(f"{results['rounds'][1]['pairs']}pairs that the model made")
        page.goto(f"{address}#/pairs")
        page.click(".grid a")
        first = json.loads((real / "traces" / "round_00.jsonl").read_text().splitlines()[0])["traces"]
        expect(page.locator(".question h4")).to_have_text([one["question"] for one in first])
        until(page, "document.querySelector('video')?.readyState >= 2")
        visited.check(address)
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


def test_a_page_of_files_opens_from_the_disk(chromium: Any, made_up: Path, tmp_path: Path) -> None:
    main(["view", str(made_up), "--output", str(tmp_path / "page"), "--clips", "none"])
    context = chromium.new_context()
    visited = Visit(context)
    start = (tmp_path / "page" / "index.html").as_uri()
    visited.page.goto(f"{start}#/pairs?round=2&clip=clip_00002")
    visited.page.wait_for_selector(".question")
    expect(visited.page.locator(".player")).to_contain_text("left out")
    visited.page.click("text=Overview")
    visited.page.wait_for_selector("figure svg")
    visited.check((tmp_path / "page").as_uri())
    context.close()
