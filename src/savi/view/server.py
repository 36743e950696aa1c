"""The page from a server on this machine alone."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from savi.errors import SaviError, describe_os_error
from savi.video.packets import UnreadableError
from savi.view.site import ASSETS, Site, script

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class OwnPagesOnly:
    """Refuses what another site's page asks for, and gives every answer the headers that keep it to this page."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        # "none": typed by the user. Without the header: no browser, or one from before 2023.
        if Headers(scope=scope).get("sec-fetch-site", "none") not in ("same-origin", "none"):
            await PlainTextResponse("asked for by another site", 403)(scope, receive, send_with_headers)
            return
        await self.app(scope, receive, send_with_headers)


def build_app(site: Site) -> Starlette:
    """The application. Requests under another name than this machine's own are refused, whoever resolved it."""

    site.live = True
    token = secrets.token_urlsafe()

    def index(request: Request) -> Response:
        return FileResponse(ASSETS / "index.html")

    def data(request: Request) -> Response:
        name = request.path_params["name"]
        document = site.document(name)
        if document is None:
            return PlainTextResponse("no such document", 404)
        if name == "site":
            document["token"] = token
        return Response(script(name, document), media_type="text/javascript")

    def media(request: Request) -> Response:
        return media_of(site.video, **request.path_params)

    def held_out_media(request: Request) -> Response:
        return media_of(site.held_out_video, **request.path_params)

    def media_of(video: Callable[[int, int], Path], run: int, clip: int, suffix: str) -> Response:
        try:
            path, kind = _media(site, video(run, clip), suffix)
        except UnreadableError as error:
            return PlainTextResponse(str(error), 404)
        return FileResponse(path, media_type=kind)

    def search(request: Request) -> Response:
        try:
            return JSONResponse(site.search(**request.path_params, words=request.query_params.get("q", "")))
        except SaviError as error:
            return PlainTextResponse(str(error), 400)

    async def judge(request: Request) -> Response:
        if not secrets.compare_digest(request.headers.get("x-savi-token", ""), token):
            return PlainTextResponse("the page is of an earlier server: load it anew", 403)
        try:
            given = await request.json()
            pair, pick = str(given["pair"]), str(given["pick"])
            await run_in_threadpool(site.judge, request.path_params["run"], pair, pick)
        except (SaviError, ValueError, KeyError, TypeError) as error:
            return PlainTextResponse(str(error), 400)
        except OSError as error:
            return PlainTextResponse(describe_os_error(error), 500)
        return Response(status_code=204)

    return Starlette(
        routes=[
            Route("/", index),
            Route("/data/{name:path}.js", data),
            Route("/media/{run:int}/{clip:int}.{suffix}", media),
            Route("/media/{run:int}/held_{clip:int}.{suffix}", held_out_media),
            Route("/search/{run:int}/{round:int}", search),
            Route("/judge/{run:int}", judge, methods=["POST"]),
            Mount("/assets", StaticFiles(directory=ASSETS)),
        ],
        middleware=[
            Middleware(OwnPagesOnly),
            Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"]),
        ],
    )


def _media(site: Site, video: Path, suffix: str) -> tuple[Path, str]:
    """The file and the type of a poster ("jpg") or a video. Raises UnreadableError."""
    if suffix == "jpg":
        return site.media.poster(video), "image/jpeg"
    if suffix != "mp4":
        raise UnreadableError("no such file")
    plays = site.media.probe(video, 1)["plays"]
    return (video, f"video/{plays}") if plays else (site.media.small(video), "video/mp4")
