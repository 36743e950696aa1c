"""`savi export --push-to-hub`: the hub's own client, with a hub in its transport that keeps what it gets."""

from __future__ import annotations

import base64
import importlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import set_client_factory
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import _http

from savi.cli import main
from savi.data.pair_files import read_given_pairs
from tests.refusals import refusal

httpx = importlib.import_module(HfHubHTTPError.__bases__[0].__module__.partition(".")[0])
"""The client's library: httpx, or its successor, by the version of the hub's client."""


class Hub:
    """Repositories by kind and name: whether each is private, and its files."""

    def __init__(self) -> None:
        self.private: dict[tuple[str, str], bool] = {}
        self.files: dict[tuple[str, str], dict[str, bytes]] = {}
        self.status = 200
        self.unreachable = False

    def __call__(self, request: Any) -> Any:
        if self.unreachable:
            raise httpx.ConnectError("no route to host", request=request)
        if self.status != 200:
            return httpx.Response(self.status, json={"error": "refused"})
        path = request.url.path.removeprefix("/api/")
        if path == "whoami-v2":
            return httpx.Response(200, json={"name": "me", "type": "user", "auth": {"type": "access_token"}})
        if path == "validate-yaml":
            return httpx.Response(200, json={"errors": [], "warnings": []})
        if path == "repos/create":
            return self._create(json.loads(request.content))
        kind, owner, name, *rest = path.split("/")
        key = (kind.removesuffix("s"), f"{owner}/{name}")
        if key not in self.private:
            return httpx.Response(404, headers={"X-Error-Code": "RepoNotFound"}, json={"error": "not found"})
        if rest[:1] == ["preupload"]:
            paths = [file["path"] for file in json.loads(request.content)["files"]]
            files = [{"path": one, "uploadMode": "regular", "shouldIgnore": False} for one in paths]
            return httpx.Response(200, json={"files": files})
        if rest[:1] == ["commit"]:
            for line in map(json.loads, request.content.splitlines()):
                if line["key"] == "file":
                    self.files[key][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            address = f"https://huggingface.co/{kind}/{owner}/{name}/commit/{'0' * 40}".replace("/models/", "/")
            return httpx.Response(200, json={"commitUrl": address, "commitOid": "0" * 40})
        return httpx.Response(200, json={"id": key[1], "sha": "0" * 40, "private": self.private[key], "siblings": []})

    def _create(self, asked: dict[str, Any]) -> Any:
        name = "/".join(part for part in (asked.get("organization") or "me", asked["name"]))
        key = (asked.get("type") or "model", name)
        if key in self.private:
            return httpx.Response(
                409, json={"error": "You already created this model repo", "url": f"https://huggingface.co/{name}"}
            )
        self.private[key] = bool(asked.get("private")) or asked.get("visibility") == "private"
        self.files[key] = {}
        kind = "" if key[0] == "model" else f"{key[0]}s/"
        return httpx.Response(200, json={"url": f"https://huggingface.co/{kind}{name}"})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    served = Hub()
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    set_client_factory(lambda: httpx.Client(transport=httpx.MockTransport(served)))
    yield served
    set_client_factory(_http.default_client_factory)


def push(run: Path, to: Path, *more: str) -> None:
    main(["export", str(run), f"--to={to}", "--push-to-hub=mine", *more])


def test_adapter_and_pairs_are_uploaded_privately_and_no_video(
    run: Path, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    push(run, tmp_path / "to")
    model, dataset = ("model", "me/mine"), ("dataset", "me/mine-pairs")
    assert hub.private == {model: True, dataset: True}
    exported = {str(file.relative_to(tmp_path / "to")): file for file in (tmp_path / "to").rglob("*") if file.is_file()}
    assert {name: file.read_bytes() for name, file in exported.items()} == hub.files[model]
    assert sorted(hub.files[dataset]) == ["README.md", "round_00.jsonl"]
    ours = [json.loads(line) for line in (run / "pairs" / "round_00.jsonl").read_text().splitlines()]
    theirs = [json.loads(line) for line in hub.files[dataset]["round_00.jsonl"].splitlines()]
    assert [one | {"video": ""} for one in theirs] == [one | {"video": ""} for one in ours]
    assert {one["video"] for one in theirs} == {f"videos/{one['clip']}.mp4" for one in ours}
    card = hub.files[dataset]["README.md"].decode()
    header = yaml.safe_load(card.split("---\n")[1])
    assert header["configs"][0]["data_files"] == "round_*.jsonl"
    assert f"{len(ours)} pairs" in card
    assert "not part of this data set" in card
    assert "| method | VideoSAVi" in card
    everything = b"".join(hub.files[dataset].values()) + hub.files[model]["README.md"]
    assert str(Path(ours[0]["video"]).parent).encode() not in everything, "no path of this machine"
    said = capsys.readouterr().out
    assert "Uploaded to https://huggingface.co/me/mine (private).\n" in said
    assert "Uploaded to https://huggingface.co/datasets/me/mine-pairs (private).\n" in said
    line = refusal(lambda: push(run, tmp_path / "again"), capsys)
    assert "the model me/mine is there already" in line
    assert not (tmp_path / "again").exists()
    push(run, tmp_path / "again", "--update")


def test_asked_for_they_are_public_with_videos_and_can_be_learned_from(run: Path, hub: Hub, tmp_path: Path) -> None:
    push(run, tmp_path / "to", "--public", "--videos")
    assert set(hub.private.values()) == {False}
    for name, content in hub.files["dataset", "me/mine-pairs"].items():
        (tmp_path / "had" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "had" / name).write_bytes(content)
    given = read_given_pairs(str(tmp_path / "had"))
    ours = [json.loads(line) for line in (run / "pairs" / "round_00.jsonl").read_text().splitlines()]
    assert [(pair.chosen, pair.clip.path.read_bytes()) for pair in given.pairs] == [
        (one["chosen"], Path(one["video"]).read_bytes()) for one in ours
    ]


def test_without_pairs_the_adapter_goes_alone(run: Path, hub: Hub, tmp_path: Path) -> None:
    push(run, tmp_path, "--without-pairs")
    assert list(hub.files) == [("model", "me/mine")]


def test_what_the_hub_refuses_is_one_line_and_nothing_is_written(
    run: Path, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def line(*more: str) -> str:
        said = refusal(lambda: push(run, tmp_path / "to", *more), capsys)
        assert not (tmp_path / "to").exists()
        return said

    assert "--videos goes with the pairs" in line("--videos", "--without-pairs")
    assert "Repo id must" in line("--push-to-hub=not/a/name")
    for status, reason in ((401, "doesn't know the token"), (403, "may not write there"), (500, "refuses it")):
        hub.status = status
        assert reason in line()
    hub.unreachable = True
    assert "the hub can't be reached (no route to host)" in line()
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no token"))
    assert "there is no token" in line()
    said = refusal(lambda: main(["export", str(run), f"--to={tmp_path / 'to'}", "--public"]), capsys)
    assert "--public goes with --push-to-hub" in said


def test_what_others_could_not_use_is_refused(
    run: Path, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = tmp_path / "run"
    shutil.copytree(run, elsewhere)
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["model"]["base"]["path"] = str(tmp_path)
    (elsewhere / "config.yaml").write_text(yaml.safe_dump(config))
    assert "name the base on the hub" in refusal(lambda: push(elsewhere, tmp_path / "to"), capsys)
    config["model"]["base"]["path"] = "world"
    config["data"]["pairs"] = "their_pairs.jsonl"
    (elsewhere / "config.yaml").write_text(yaml.safe_dump(config))
    assert "which aren't its own: --without-pairs" in refusal(lambda: push(elsewhere, tmp_path / "to"), capsys)
