"""A real browser for the page's tests: the one that the system has, or the one that Playwright has fetched."""

from __future__ import annotations

import os
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
        # Chromium has no sandbox for root, which tests in containers are. They open savi's own pages alone.
        launched = playwright.chromium.launch(executable_path=found, chromium_sandbox=os.geteuid() != 0)
        try:
            yield launched
        finally:
            launched.close()
