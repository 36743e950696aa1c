"""The server's answers without a browser: who is refused, parts of videos, and what isn't there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from savi.data.clips import find_clips
from savi.world.clips import training_clips
from tools.made_up_run import write_run
from tools.view_pictures import served


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("served")
    training_clips(folder / "clips", 1, seed=0)
    run = write_run(folder / "run", [find_clips(folder / "clips")[0].path], 1, questions=2)
    with served([run], folder / "cache") as address, httpx.Client(base_url=address, trust_env=False) as opened:
        yield opened


def document(client: Any, name: str) -> Any:
    text = client.get(f"/data/{name}.js").text
    return json.loads(text[text.index(",") + 1 : text.rindex(")")])


def test_a_request_under_another_host_name_is_refused(client: Any) -> None:
    assert client.get("/", headers={"host": "evil.example"}).status_code == 400
    assert client.get("/data/site.js", headers={"host": "evil.example:8000"}).status_code == 400


@pytest.mark.parametrize("path", ["/", "/data/site.js", "/data/0/clip_0.js", "/media/0/0.mp4", "/assets/savi.js"])
def test_the_page_of_another_site_gets_nothing(client: Any, path: str) -> None:
    assert client.get(path, headers={"sec-fetch-site": "cross-site"}).status_code == 403
    own = client.get(path, headers={"sec-fetch-site": "same-origin"})
    assert own.status_code == 200
    assert own.headers["cross-origin-resource-policy"] == "same-origin"
    assert "'unsafe-inline'" not in own.headers["content-security-policy"]


def test_a_judgment_needs_the_pages_own_token_and_a_pair(client: Any) -> None:
    token = document(client, "site")["token"]
    given = {"pair": document(client, "0/judge")["pairs"][0]["pair"], "pick": "both"}
    assert client.post("/judge/0", json=given).status_code == 403
    assert client.post("/judge/0", json=given, headers={"x-savi-token": token[1:]}).status_code == 403
    wrong = [{**given, "pick": "chosen"}, {**given, "pair": "1-0-99"}, {**given, "pair": "../x"}, [], {}]
    for one in wrong:
        assert client.post("/judge/0", json=one, headers={"x-savi-token": token}).status_code == 400
    assert document(client, "0/judge")["judged"] == 0
    assert client.post("/judge/0", json=given, headers={"x-savi-token": token}).status_code == 204
    assert document(client, "0/judge")["judged"] == 1


def test_the_server_finds_what_a_page_of_files_finds(tmp_path: Path) -> None:
    def change(text: str) -> str:
        return text.replace("red", 'Red\nübers "Dach" <ß>')

    run = write_run(tmp_path / "run", [tmp_path / "gone.mp4"], 1, clips=4, questions=3, words=20, change=change)
    with served([run], tmp_path / "cache") as address, httpx.Client(base_url=address, trust_env=False) as client:
        said = document(client, "0/text_1_0")["said"]

        def find(place: str, words: str) -> dict[str, list[int]]:
            found: dict[str, list[int]] = client.get(f"/search/{place}", params={"q": words}).json()
            return found

        for words in ("How many people", "RED", 'übers "dach"', "ß", "", "Look at the clip"):
            hits = {str(at): [n for n, one in enumerate(clip) if words.lower() in one] for at, clip in enumerate(said)}
            assert find("0/1", words) == {place: numbers for place, numbers in hits.items() if numbers}
            assert bool(find("0/1", words)) == (words != "Look at the clip"), "which is in the prompts alone"
        assert find("0/2", "red") == find("1/1", "red") == {}


def test_a_video_is_served_in_parts(client: Any) -> None:
    whole = client.get("/media/0/0.mp4")
    part = client.get("/media/0/0.mp4", headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert whole.headers["content-type"] == "video/mp4"


@pytest.mark.parametrize(
    "path",
    [
        *("/data/0/clip_9.js", "/data/9/overview.js", "/data/0/nothing.js", "/data/../../site.js", "/media/0/9.mp4"),
        *("/media/0/0.py", "/assets/../server.py", "/data/0/round_0.js"),
    ],
)
def test_what_is_not_there_is_not_found(client: Any, path: str) -> None:
    assert client.get(path).status_code == 404


def test_a_server_that_is_ended_leaves_no_process_behind(tmp_path: Path) -> None:
    training_clips(tmp_path / "clips", 1, seed=0)
    run = write_run(tmp_path / "run", [find_clips(tmp_path / "clips")[0].path], 1)
    command = [sys.executable, "-m", "savi.cli", "view", str(run), "--no-browser"]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().split()[0]
        with urllib.request.urlopen(f"{address}media/0/0.jpg") as answer:  # noqa: S310 (its own address)
            assert answer.headers["content-type"] == "image/jpeg"
        server.terminate()
        # The pipe is open as long as any process of the server's is there.
        assert server.stdout.read() == ""
        assert server.wait() == 0
    finally:
        server.kill()


def test_the_server_goes_without_torch() -> None:
    """Which would take five times its memory, and seconds at its start."""
    check = "import sys, savi.view.command, savi.view.server; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)
