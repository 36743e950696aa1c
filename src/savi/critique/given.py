"""Preference pairs that somebody else made, before the reference has scored them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from savi.conversations import Prompt
from savi.critique.reference_logps import ReferenceLogps
from savi.types import Clip, Frames, PreferencePair
from savi.video.decode import UndecodableClip

Read = Callable[[Sequence[Clip]], Sequence[Frames | UndecodableClip | None]]
"""Gives the frames of clips, here and now. None for a clip that the model has in its cache."""


@dataclass(frozen=True)
class GivenPair:
    """A pair as its file has it. place: file and line. clip: an OpenedClip where text comes before the video.
    rejected_clip: what the rejected response is about, where it is another clip, behind the same text."""

    place: str
    clip: Clip
    prompt: Prompt
    chosen: str
    rejected: str
    rejected_clip: Clip | None = None

    @property
    def clips(self) -> tuple[Clip, ...]:
        """The clip, and that of the rejected response where it is another one."""
        return (self.clip,) if self.rejected_clip is None else (self.clip, self.rejected_clip)


def pair_digest(pair: GivenPair | PreferencePair, content: str | None, *rejected_content: str | None) -> str:
    """Of what a pair's log-probabilities depend on besides the model. content: a digest of the clip's file.
    rejected_content: of the file that the rejected response is about, where it is another one."""
    return _digest((content, pair.prompt, pair.chosen, pair.rejected, *rejected_content))


def _digest(parts: object) -> str:
    return hashlib.blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


@dataclass(frozen=True)
class RefusedRow:
    """A row of a file that no pair was made of."""

    place: str
    reason: str


@dataclass(frozen=True)
class GivenPairs:
    """All pairs of a source in the order of its rows.

    source: as the setting names it. home: the folder that its first file is in; None for a data set of the hub. shapes:
    rows by the project that writes such rows.
    """

    source: str
    home: Path | None
    pairs: tuple[GivenPair, ...]
    refused: tuple[RefusedRow, ...]
    shapes: Mapping[str, int]

    @property
    def clips(self) -> list[Clip]:
        """The clips in the order in which they first appear, those of rejected responses too."""
        return list(dict.fromkeys(clip for pair in self.pairs for clip in pair.clips))

    def digest(self) -> str:
        """Of all pairs, in order, whatever the place of their files."""
        return _digest([(*(clip.id for clip in pair.clips), pair_digest(pair, None)) for pair in self.pairs])

    def line(self) -> str:
        """What was found, in one line."""
        written = ", ".join(f"{count} as {shape} writes them" for shape, count in self.shapes.items())
        clips = len({clip.path for clip in self.clips})
        refused = f"; {len(self.refused)} rows can't be used" if self.refused else ""
        return f"{self.source}: {len(self.pairs)} pairs about {clips} clips ({written}){refused}"


@dataclass(frozen=True)
class PairsToScore:
    """The pairs of a round from files, and how the reference scores them.

    known: log-probabilities under the reference of this round. read: gives the frames of clips that rejected responses
    are about. max_length: most tokens of clip, prompt and response; None for what the model was made for.
    pairs_at_once: of a clip, in a pass of the reference.
    """

    pairs: GivenPairs
    known: ReferenceLogps
    read: Read
    max_length: int | None = None
    pairs_at_once: int = 32
