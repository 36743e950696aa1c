"""The page as files that open without a server."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from savi.types import SaviError
from savi.video.packets import UnreadableError
from savi.view.site import ASSETS, Site, script

ClipCopies = Literal["small", "none"]


def export(site: Site, folder: Path, clips: ClipCopies, say: Callable[[str], None]) -> None:
    """Write the page to a new or empty folder. clips: small copies of the videos, or none. Raises SaviError."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SaviError(f"view: --output {folder} is there already and isn't an empty folder")
    shutil.copytree(ASSETS, folder / "assets", dirs_exist_ok=True)
    page = (folder / "assets" / "index.html").rename(folder / "index.html")
    copied: set[tuple[int, int]] = set()
    if clips == "small":
        copied = _copy_clips(site, folder, say)
    for name in site.names():
        document = site.document(name)
        if document is None:
            continue
        if name == "site":
            document["clips"] = clips
        run, _, media = name.partition("/media_")
        if media and (int(run), int(media)) not in copied:
            document |= {"problem": document.get("problem", "the videos were left out of this copy")}
        path = folder / "data" / f"{name}.js"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(script(name, document))
    say(f"Written to {folder}; open {page}")


def _copy_clips(site: Site, folder: Path, say: Callable[[str], None]) -> set[tuple[int, int]]:
    """The (run, clip) whose poster and small video were written."""
    copied = set()
    for run, pairs in enumerate(site.pairs):
        pairs.refresh(site.run(run))
        target = folder / "media" / str(run)
        target.mkdir(parents=True)
        for clip in range(len(pairs.videos)):
            try:
                video = site.video(run, clip)
                shutil.copyfile(site.media.poster(video), target / f"{clip}.jpg")
                shutil.copyfile(site.media.small(video), target / f"{clip}.mp4")
            except UnreadableError as error:
                say(f"Left out: {pairs.videos[clip]}: {error}")
            else:
                copied.add((run, clip))
    return copied
