"""A run's export as a repository of the Hugging Face hub, and its pairs as a data set there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
)

from savi.critique.pairs import json_line, json_records
from savi.errors import SaviError
from savi.runs.card import dataset_card
from savi.runs.read import Run

UNREACHABLE: Any = (HfHubHTTPError.__bases__[0], OfflineModeIsEnabled)
"""What the hub's client raises without an answer. The first is of its library: httpx, or its successor."""

PAIRS = "-pairs"
"""Behind the name of a model's repository: that of its pairs."""

REFUSALS = {401: "the hub doesn't know the token", 403: "the token may not write there"}
"""What a status of the hub means."""


@dataclass(frozen=True)
class Destination:
    """Repositories of the hub that a run goes to.

    name: `owner/name`, or a name alone for the token's owner. public: everybody may read them. update: write into
    repositories that are there already. pairs: also make a data set of the pairs. videos: with their video files.
    """

    name: str
    public: bool = False
    update: bool = False
    pairs: bool = True
    videos: bool = False


class HubRepositories:
    """The repositories of a destination. Everything is checked before anything is written."""

    def __init__(self, run: Run, destination: Destination) -> None:
        """Raises SaviError for a missing token, a taken name, a hub that can't be reached, and for pairs that aren't
        the run's own."""
        self.run = run
        self.destination = destination
        self._api = HfApi()
        if destination.pairs and run.config["data"].get("pairs"):
            raise SaviError(
                f"--push-to-hub: {run.folder} learned from pairs in files, which aren't its own: --without-pairs"
            )
        if destination.videos and not destination.pairs:
            raise SaviError("--videos goes with the pairs: they are the videos that the pairs are about")
        with self._one_line():
            owner = self._api.whoami()["name"]
            name = destination.name if "/" in destination.name else f"{owner}/{destination.name}"
            self.repositories = {"model": name} | ({"dataset": name + PAIRS} if destination.pairs else {})
            for kind, repository in self.repositories.items():
                if not destination.update and self._api.repo_exists(repository, repo_type=kind):
                    raise SaviError(
                        f"--push-to-hub: the {kind} {repository} is there already; name another one, or --update it"
                    )

    def push(self, folder: Path) -> list[str]:
        """Upload an export's folder, and the pairs. Returns their addresses. Raises SaviError."""
        addresses = [self._upload("model", folder)]
        if "dataset" in self.repositories:
            with TemporaryDirectory(prefix="savi-hub-") as scratch:
                write_dataset(self.run, Path(scratch), self.repositories["dataset"], videos=self.destination.videos)
                addresses.append(self._upload("dataset", Path(scratch)))
        return addresses

    def _upload(self, kind: str, folder: Path) -> str:
        repository = self.repositories[kind]
        with self._one_line():
            destination = self.destination
            url = self._api.create_repo(
                repository, private=not destination.public, repo_type=kind, exist_ok=destination.update
            )
            message = f"{self.run.results['run']['name']}, made with savi"
            self._api.upload_folder(repo_id=repository, folder_path=folder, repo_type=kind, commit_message=message)
        return str(url)

    @contextmanager
    def _one_line(self) -> Iterator[None]:
        """What the hub refuses, as a SaviError."""
        try:
            yield
        except LocalTokenNotFoundError:
            raise SaviError("--push-to-hub: there is no token; `hf auth login` keeps one, or set HF_TOKEN") from None
        except HFValidationError as error:
            raise SaviError(f"--push-to-hub {self.destination.name}: {_first_line(error)}") from None
        except HfHubHTTPError as error:
            status = error.response.status_code
            if status == 409:
                raise SaviError(f"--push-to-hub {self.destination.name}: the name is taken") from None
            reason = REFUSALS.get(status, f"the hub refuses it: {_first_line(error)}")
            raise SaviError(f"--push-to-hub {self.destination.name}: {reason}") from None
        except UNREACHABLE as error:
            raise SaviError(f"--push-to-hub: the hub can't be reached ({_first_line(error)})") from None


def write_dataset(run: Run, folder: Path, name: str, *, videos: bool) -> None:
    """Write a run's pairs with a card: round_00.jsonl and so on, as `data.pairs` reads them.

    A pair's `video` is a name below videos/, in place of a path of this machine. videos: the files themselves, too.
    name: of the data set, for its card. Raises SaviError for a run without pairs, and for a video that isn't there.
    """
    files = sorted((run.folder / "pairs").glob("round_*.jsonl"))
    counts: list[int] = []
    for file in files:
        records = [_without_place(record, folder if videos else None) for _, record in json_records(file)]
        (folder / file.name).write_bytes(b"".join(map(json_line, records)))
        counts.append(len(records))
    if not sum(counts):
        raise SaviError(f"--push-to-hub: {run.folder} has no pairs to upload: --without-pairs")
    (folder / "README.md").write_text(dataset_card(run, name, counts, videos=videos), encoding="utf-8")


def _without_place(record: dict[str, Any], folder: Path | None) -> dict[str, Any]:
    """A pair with a name of its video. folder: where the video is copied to, below videos/."""
    path = Path(record["video"])
    name = Path("videos") / f"{record['clip'].removesuffix(path.suffix).strip('/')}{path.suffix}"
    if ".." in name.parts:
        raise SaviError(f"--push-to-hub: clip {record['clip']} has no name that a repository can have")
    if folder is not None and not (copy := folder / name).exists():
        if not path.is_file():
            raise SaviError(f"--videos: there is no video at {path}")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return {**record, "video": name.as_posix()}


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
