"""`savi view`: the page of one run or several."""

from __future__ import annotations

import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from savi.cache import cache_folder
from savi.evaluation.options import OneLineParser
from savi.types import SaviError
from savi.view.export import export
from savi.view.media import Media
from savi.view.run import newest_run
from savi.view.site import Site

HOST = "127.0.0.1"
FIRST = 2.0
"""Seconds that the first view has to itself, before the rounds' files are read."""


def view(arguments: Sequence[str]) -> None:
    """The command. Raises SaviError for a user's mistake."""
    parser = OneLineParser(
        prog="savi view",
        description="Look at a run, also while it is going on: its figures, its clips, and every question's way from "
        "answer to pair. Serves the page to this machine alone and opens a browser, or writes it as files.",
    )
    parser.add_argument("runs", type=Path, nargs="*", metavar="RUN", help="runs' folders; the newest by default")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="write files that open without a server")
    parser.add_argument("--clips", choices=("small", "none"), help="with --output: small copies of the videos or none")
    parser.add_argument("--port", type=int, default=0, help="of the page's address; a free one by default")
    parser.add_argument("--no-browser", action="store_true", help="print the page's address, and open no browser")
    given = parser.parse_args(arguments)
    if given.clips and not given.output:
        raise SaviError("view: --clips goes with --output")
    folders = given.runs or [newest_run(Path("lightning_logs"))]
    media = Media(cache_folder() / "view")
    try:
        site = Site(folders, media)
        if given.output:
            export(site, given.output, given.clips or "small", print)
        else:
            _serve(site, given.port, not given.no_browser)
    finally:
        media.close()


def _serve(site: Site, port: int, browser: bool) -> None:
    """Serve until Ctrl-C."""
    import uvicorn

    from savi.view.server import build_app

    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
            listening.listen()  # a browser that is faster than the server waits
        except (OSError, OverflowError) as error:
            raise SaviError(f"view: --port {port}: {getattr(error, 'strerror', None) or error}") from None
        address = f"http://{HOST}:{listening.getsockname()[1]}/"
        print(f"{address}  (Ctrl-C ends it)", flush=True)
        # The first view doesn't need what the rounds' files say.
        later = threading.Timer(FIRST, site.warm_up)
        later.daemon = True
        later.start()
        if browser:
            threading.Timer(0.5, webbrowser.open, [address]).start()
        config = uvicorn.Config(build_app(site), log_level="warning", access_log=False)
        # uvicorn raises what it was sent once more at its end: what is left to do here is done before.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])
