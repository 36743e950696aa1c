"""The files of a run's clips: which have changed since a round before, and which can't be decoded.

`clips.json` in the run's folder holds a digest of each clip's file as it was when the last round began.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from savi.errors import SaviError
from savi.files import content_digest, write_json
from savi.types import Clip, readable
from savi.video.decode import UndecodableClip

CHANGED = (
    "the file has changed since the round began; put the old one back and resume the run, or remove the round's files "
    "from the run's pairs/ and traces/ first, so that it is built anew"
)


@dataclass(frozen=True)
class ClipFiles:
    """The clips' files as a round begins, by clip id. Every process has the same.

    contents: a digest of each file, None for one that can't be read. failures: why a file could not be decoded.
    changed: clips whose files have changed since the round before.
    """

    contents: Mapping[str, str | None]
    failures: dict[str, str] = field(default_factory=dict)
    changed: tuple[Clip, ...] = ()

    def failure(self, clip: Clip) -> UndecodableClip | None:
        """Why a clip isn't decoded again in this run."""
        reason = self.failures.get(clip.id)
        return UndecodableClip(clip.path, reason) if reason else None


def inspect_clips(run: Path, clips: Sequence[Clip], done: Collection[Clip], failures: Mapping[str, str]) -> ClipFiles:
    """Look at the clips' files as a round begins or is resumed, and note them in the run's folder.

    done: clips whose pairs the round has already. failures: why files could not be decoded in the
    round before, by clip id. They are not tried again while they stay the same. Raises SaviError where the file of a
    clip that is done has changed.
    """
    path = run / "clips.json"
    before = _read(path)
    contents = {clip.id: content_digest(clip.path) for clip in clips}
    changed = [clip for clip in clips if None not in (before.get(clip.id), contents[clip.id])]
    changed = [clip for clip in changed if before[clip.id] != contents[clip.id]]
    for clip in set(changed).intersection(done):
        raise SaviError(f"{readable(str(clip.path))}: {CHANGED}")
    write_json(path, contents)
    known = {id: reason for id, reason in failures.items() if contents.get(id) and contents[id] == before.get(id)}
    return ClipFiles(contents, known, tuple(changed))


def _read(path: Path) -> dict[str, str | None]:
    try:
        content: dict[str, str | None] = json.loads(path.read_text(encoding="utf-8"))
        return content
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SaviError(f"{path}: damaged ({error}); remove it") from None
