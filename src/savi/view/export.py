"""The page as files that open without a server."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from tqdm import tqdm

from savi.types import SaviError
from savi.video.packets import UnreadableError
from savi.view.site import ASSETS, Site, script

ClipCopies = Literal["small", "none"]

MEDIA = re.compile(r"(\d+)/(media|held)_(\d+)")
"""Names of the documents about a video: of a clip that was learned from, or of a held-out question."""

LEFT_OUT = {"problem": "the videos were left out of this copy"}


def export(site: Site, folder: Path, clips: ClipCopies, say: Callable[[str], None]) -> None:
    """Write the page to a new or empty folder. clips: small copies of the videos, or none. Raises SaviError."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SaviError(f"view: --output {folder} is there already and isn't an empty folder")
    shutil.copytree(ASSETS, folder / "assets", dirs_exist_ok=True)
    page = (folder / "assets" / "index.html").rename(folder / "index.html")
    problems = []
    seconds = 0.1 if sys.stderr.isatty() else 60.0
    for name in tqdm(list(site.names()), desc="page", unit="document", mininterval=seconds):
        document = site.document(name)
        if document is None:
            continue
        if name == "site":
            document["clips"] = clips
        if found := MEDIA.fullmatch(name):
            if clips == "none":
                document = LEFT_OUT
            elif "problem" not in document:
                document |= _copy_video(site, folder, *found.groups())
            if clips == "small" and "problem" in document:
                problems.append(document["problem"])
        path = folder / "data" / f"{name}.js"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(script(name, document))
    if problems:
        say(f"{len(problems)} videos are left out. The first: {problems[0]}")
    say(f"Written to {folder}; open {page}")


def _copy_video(site: Site, folder: Path, run: str, kind: str, number: str) -> dict[str, str]:
    """Write the poster and a small copy of a video; what is to be said in the place of those that can't be written."""
    video_of, name = (site.video, number) if kind == "media" else (site.held_out_video, f"held_{number}")
    target = folder / "media" / run
    target.mkdir(parents=True, exist_ok=True)
    try:
        video = video_of(int(run), int(number))
        shutil.copyfile(site.media.poster(video), target / f"{name}.jpg")
        shutil.copyfile(site.media.small(video), target / f"{name}.mp4")
    except UnreadableError as error:
        return {"problem": f"the video can't be shown: {error}"}
    return {}
