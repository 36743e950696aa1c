"""A real browser for the page's tests: the one that the system has, or the one that Playwright has fetched."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from tools.view_pictures import browser_path

ABSENT = "no Chromium or Chrome here; `python -m playwright install chromium` fetches one"


@contextmanager
def browser() -> Iterator[Any]:
    """A headless Chromium. Skips the test where there is none, other than in continuous integration."""
    with sync_playwright() as playwright:
        found = browser_path(playwright)
        if not Path(found).is_file():
            if os.environ.get("CI"):
                pytest.fail(ABSENT)
            pytest.skip(ABSENT)
        launched = playwright.chromium.launch(executable_path=found)
        try:
            yield launched
        finally:
            launched.close()


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
