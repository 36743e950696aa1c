"""The page in a real browser: one session that looks, clicks and types as a person does."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import expect

from savi.cli import main
from savi.view.media import Media
from savi.view.server import build_app
from savi.view.site import Site
from savi.world.clips import training_clips
from tests.view.browser import browser
from tools.made_up_run import write_run

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


@contextmanager
def served(*runs: Path, cache: Path) -> Iterator[str]:
    """The address of a server of these runs, in a thread of this process."""
    media = Media(cache)
    server = uvicorn.Server(uvicorn.Config(build_app(Site(runs, media)), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/"
    finally:
        server.should_exit = True
        thread.join()
        media.close()


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
    with served(made_up, cache=tmp_path_factory.mktemp("cache")) as url:
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
