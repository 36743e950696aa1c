"""Pictures of the page's views, for docs/:  python -m tools.view_pictures RUN [OTHER_RUN] [--output docs/view]."""

from __future__ import annotations

import argparse
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from PIL import Image
from playwright.sync_api import sync_playwright

from savi.view.media import Media
from savi.view.server import build_app
from savi.view.site import Site

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
COLORS = 256
"""Of a picture's palette: a page has few, and its file is a third as large."""

VIEWS = {
    "overview": ("overview", ".chart svg", 1280, "light"),
    "pairs": ("pairs?round=1", ".grid img", 1280, "light"),
    "clip": ("pairs?round=1&clip={clip}&question=1-1", "video", 1280, "light"),
    "learned": ("learned", ".answers li", 1280, "light"),
    "compare": ("compare", ".chart svg", 1280, "light"),
    "judge": ("judge", "video", 1280, "dark"),
    "phone": ("pairs?round=1&clip={clip}&question=1-1", "video", 390, "dark"),
}
"""By name: the view, what is there when it is whole, the width in pixels, and the theme."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--output", type=Path, default=Path("docs/view"))
    parser.add_argument("--clip", default="clip_00003", help="the id of the clip that is shown")
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as cache,
        served(given.runs, Path(cache)) as address,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=browser_path(playwright))
        for name, (path, seen, width, theme) in VIEWS.items():
            context = browser.new_context(viewport={"width": width, "height": 840}, color_scheme=theme)
            page = context.new_page()
            page.goto(f"{address}#/{path.format(clip=given.clip)}")
            page.wait_for_selector(seen)
            page.wait_for_load_state("networkidle")
            page.wait_for_timeout(500)
            # Where the run is on the machine that takes the picture is nobody's interest.
            page.evaluate("document.querySelectorAll('.path').forEach((one) => one.remove())")
            target = given.output / f"{name}.png"
            page.screenshot(path=target, full_page=name == "overview")
            with Image.open(target) as picture:
                picture.convert("RGB").quantize(COLORS).save(target, optimize=True)
            print(f"{target}: {target.stat().st_size / 1000:.0f} kB")
            context.close()
        browser.close()


def browser_path(playwright: Any) -> str:
    """The browser that the system has, else the one that Playwright has fetched."""
    return next((path for path in map(shutil.which, BROWSERS) if path), playwright.chromium.executable_path)


@contextmanager
def served(runs: list[Path], cache: Path) -> Iterator[str]:
    """The address of a server of these runs, in a thread of this process."""
    media = Media(cache)
    server = uvicorn.Server(uvicorn.Config(build_app(Site(runs, media)), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join()
        media.close()


if __name__ == "__main__":
    main()
