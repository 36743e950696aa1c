"""How fast the page of a large run is, and how much memory its server takes.

    python -m tools.bench.view [--clips 4000] [--questions 6] [--rounds 4] [--folder FOLDER]

makes a run up (some minutes; a FOLDER is kept for the next time), serves it as a user would, and opens its views in a
real browser. Times are from following a link to the last element of the view; every view is opened five times.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from savi.world.clips import training_clips
from tools.made_up_run import write_run
from tools.view_pictures import browser_path

REPEATS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=4000)
    parser.add_argument("--questions", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--folder", type=Path, help="of the made-up run; a temporary one by default")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        run = folder / "large" / "version_0"
        if not run.exists():
            videos = [clip.path for clip in training_clips(folder / "clips", 8, seed=0)]
            write_run(run, videos, given.rounds, clips=given.clips, questions=given.questions, words=20)
        traces = sum(path.stat().st_size for path in (run / "traces").iterdir())
        size = f"{given.clips} clips x {given.questions} questions x {given.rounds} rounds"
        print(f"{size}, {traces / 2**20:.0f} MiB of traces")
        measure(run, given.clips)


def measure(run: Path, clips: int) -> None:
    command = [sys.executable, "-m", "savi.cli", "view", str(run), "--no-browser"]
    started = time.perf_counter()
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        address = server.stdout.readline().split()[0]  # type: ignore[union-attr]  # it is a pipe
        print(f"start until the address is printed: {time.perf_counter() - started:.2f} s")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=browser_path(playwright))
            page = browser.new_page()
            print(f"first view of a server that has just started: {_open(page, address, '.chart svg'):.2f} s")
            page.goto(f"{address}#/pairs")
            page.wait_for_selector(".grid li", timeout=120_000)
            print(f"memory of the server once it has read the run: {_memory(server.pid)}")
            for name, path, element in _views(clips):
                times = []
                for number in range(REPEATS):
                    page.goto(f"{address}#/pairs?round=3")  # away from the view, as somebody who looks around
                    page.wait_for_selector(".results .grid")
                    times.append(_open(page, f"{address}{path(number)}", element))
                print(f"{name}: {statistics.median(times):.2f} s (largest {max(times):.2f})")
            for words in ("clip_00007", "red blue"):
                times = [_search(page, address, number % 4 + 1, words) for number in range(REPEATS)]
                print(f"search for {words!r} in a round: {statistics.median(times):.2f} s (largest {max(times):.2f})")
            browser.close()
        print(f"memory of the server at the end: {_memory(server.pid)}")
    finally:
        server.terminate()
        server.wait()


def _views(clips: int) -> list[tuple[str, Any, str]]:
    step = clips // REPEATS
    return [
        ("overview", lambda number: "#/overview", ".chart svg"),
        ("a page of clips", lambda number: f"#/pairs?round=4&page={number}", ".grid li:nth-child(24)"),
        ("filtered clips", lambda number: "#/pairs?round=2&aspect=spatial&outcome=pair", ".grid li:nth-child(24)"),
        (
            "a clip in all rounds",
            lambda number: f"#/pairs?round=4&clip=clip_{number * step:05d}",
            ".question >> nth=23",
        ),
        ("a pair to judge", lambda number: "#/judge", ".reply >> nth=1"),
    ]


def _open(page: Any, address: str, element: str) -> float:
    """Seconds until an element is there. In a page that is open already, only what is new is read."""
    started = time.perf_counter()
    page.goto(address)
    page.wait_for_selector(element)
    return time.perf_counter() - started


def _search(page: Any, address: str, round: int, words: str) -> float:
    """Seconds from typing to what is found, which has to be fewer questions than there are."""
    for path, element in (("#/overview", ".chart svg"), (f"#/pairs?round={round}", ".results .grid")):
        page.goto(f"{address}{path}")
        page.wait_for_selector(element)
    status = page.locator(".results [role=status]")
    before = status.inner_text()
    started = time.perf_counter()
    page.fill("#q", words)
    # Playwright's own waiting looks twice a second after a while.
    while " of " not in (found := status.inner_text()) or found == before:
        time.sleep(0.005)
    return time.perf_counter() - started


def _memory(pid: int) -> str:
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    now, most = (int(re.search(rf"{name}:\s+(\d+)", status)[1]) / 1024 for name in ("VmRSS", "VmHWM"))  # type: ignore[index]  # Linux has both
    return f"{now:.0f} MiB, at most {most:.0f}"


if __name__ == "__main__":
    main()
