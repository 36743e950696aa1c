"""Pairs from files: taken as they are, scored by the reference, and refused where they are too long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from savi.conversations import last_words
from savi.critique.clip_results import ClipResult
from savi.critique.filters import NOT_IN_TEMPLATE, OVERLONG, REFUSALS, UNDECODABLE
from savi.critique.given import GivenPair, PairsToScore, pair_digest
from savi.critique.own_filters import PairFilter
from savi.critique.question_maker import PAIR
from savi.critique.reference_logps import Logps
from savi.critique.round import Round
from savi.distributed.sharding import chunks
from savi.errors import SaviError
from savi.files import content_digest
from savi.inference import ScoreRequest, Session
from savi.methods.base import NO_CHECK, PairMethod
from savi.prompts.content import aspect_of
from savi.types import (
    Clip,
    Frames,
    PairAspect,
    PreferencePair,
    RefusedPair,
    Trace,
    TwoClipPair,
    derive_seed,
    readable,
)
from savi.video.decode import UndecodableClip

NEEDS_FILES = "takes the pairs of data.pairs: name their files there"
"""What is said of a run that names the method and no files."""

PROMPT_VERSION = "given"
"""The version of the prompts of a pair from a file, which has its own."""


class FromFiles(PairMethod):
    """The pairs of `data.pairs`, as they are. Nobody asks about the clips, and one round is one epoch over the files.

    `data.pairs` selects this method, so that no experiment has to name it.
    """

    without_effect: ClassVar[Mapping[str, str]] = {
        "model.chain": "nobody asks, answers or criticizes",
        **dict.fromkeys(("model.filters", "model.own_filters"), "pairs are taken as they are"),
        **dict.fromkeys(
            ("data.clips", "data.clip_count", "data.held_out", "data.held_out_clips"),
            "the clips are those of the pairs",
        ),
        **NO_CHECK,
    }

    def filters(self, own: Sequence[PairFilter]) -> Sequence[str]:
        return tuple(REFUSALS)

    def maker(self, round: Round) -> GivenPairMaker:
        """Raises SaviError for a round without pairs from files."""
        if round.given is None:
            raise SaviError(f"model.pairs: FromFiles {NEEDS_FILES}")
        return GivenPairMaker(round, round.given)


class GivenPairMaker:
    """Takes batches of clips, as the critique chain does, and gives their pairs from the files.

    A clip is encoded only where the log-probabilities of one of its pairs aren't known yet, and once for all of them.
    """

    def __init__(self, round: Round, given: PairsToScore) -> None:
        self.model = round.model
        self.run_seed = round.run_seed
        self.round = round.index
        self.given = given
        self.max_length = given.max_length if given.max_length is not None else round.model.max_length
        self._of_clip: dict[Clip, list[GivenPair]] = {}
        for pair in given.pairs.pairs:
            self._of_clip.setdefault(pair.clip, []).append(pair)
        self._contents: dict[Path, str | None] = {}

    def is_cached(self, clip: Clip) -> bool:
        """Whether run() can do without this clip's frames."""
        return None not in self._known(clip).values() or self.model.is_cached(clip)

    def run(self, clips: Sequence[Clip], frames: Sequence[Frames | None]) -> list[ClipResult]:
        """Pairs and traces of a batch of clips. frames may be None where is_cached() says so."""
        logps = {pair: known for clip in clips for pair, known in self._known(clip).items()}
        refused: dict[GivenPair, tuple[str, str]] = {}
        unknown = [pair for pair, known in logps.items() if known is None]
        if unknown:
            shown, refused = self._shown(dict(zip(clips, frames, strict=True)), unknown)
            session = self.model.encode(list(shown), list(shown.values()))
            places = {clip: index for index, clip in enumerate(shown)}
            requests = {pair: _requests(pair, places) for pair in unknown if pair not in refused}
            refused |= {pair: why for pair, asked in requests.items() if (why := self._refusal(session, asked))}
            logps |= self._score(session, {pair: asked for pair, asked in requests.items() if pair not in refused})
        return [self._result(clip, logps, refused) for clip in clips]

    def _shown(
        self, frames: Mapping[Clip, Frames | None], pairs: Sequence[GivenPair]
    ) -> tuple[dict[Clip, Frames | None], dict[GivenPair, tuple[str, str]]]:
        """The clips that pairs are about, with their frames, and the pairs whose rejected response has none."""
        needed = list(dict.fromkeys(clip for pair in pairs for clip in pair.clips))
        more = [clip for clip in needed if frames.get(clip) is None and not self.model.is_cached(clip)]
        read = dict(zip(more, self.given.read(more), strict=True))
        found = {clip: read.get(clip, frames.get(clip)) for clip in needed}
        bad = {clip: str(one) for clip, one in found.items() if isinstance(one, UndecodableClip)}
        refused = {pair: (UNDECODABLE, bad[clip]) for pair in pairs for clip in pair.clips if clip in bad}
        return {clip: one for clip, one in found.items() if not isinstance(one, UndecodableClip)}, refused

    def _score(self, session: Session, requests: Mapping[GivenPair, Sequence[ScoreRequest]]) -> dict[GivenPair, Logps]:
        """Log-probabilities of both responses of each pair: in passes of some requests of each clip."""
        asked = [(pair, request) for pair, of_pair in requests.items() for request in of_pair]
        places: dict[int, list[int]] = {}
        for place, (_, request) in enumerate(asked):
            places.setdefault(request.clip, []).append(place)
        cut = [list(chunks(of_clip, self.given.pairs_at_once)) for of_clip in places.values()]
        scored: dict[int, list[float]] = {}
        for number in range(max(map(len, cut), default=0)):
            some = [place for parts in cut if number < len(parts) for place in parts[number]]
            values = iter(session.score_reference([asked[place][1] for place in some]).logps.tolist())
            scored |= {place: [next(values) for _ in asked[place][1].responses] for place in some}
        both: dict[GivenPair, list[float]] = {}
        for place, (pair, _) in enumerate(asked):
            both.setdefault(pair, []).extend(scored[place])
        return {pair: (chosen, rejected) for pair, (chosen, rejected) in both.items()}

    def _refusal(self, session: Session, requests: Sequence[ScoreRequest]) -> tuple[str, str] | None:
        """The filter that takes a pair and its reason, or None."""
        try:
            length = max(session.length(request) for request in requests)
        except SaviError as error:
            return NOT_IN_TEMPLATE, str(error)
        if self.max_length is not None and length > self.max_length:
            return OVERLONG, f"it has {length} tokens, and at most {self.max_length} are read"
        return None

    def _result(
        self, clip: Clip, logps: dict[GivenPair, Logps | None], refused: dict[GivenPair, tuple[str, str]]
    ) -> ClipResult:
        pairs: list[PreferencePair] = []
        traces: list[Trace] = []
        for given in self._of_clip.get(clip, ()):
            question = last_words(given.prompt).strip()
            aspect: PairAspect = aspect_of(question) or "other"
            both = logps[given]
            if given in refused or both is None:
                outcome, reason = refused[given]
                traces.append(
                    RefusedPair(clip.id, self.round, aspect, question, (), outcome, place=given.place, reason=reason)
                )
                continue
            traces.append(Trace(clip.id, self.round, aspect, question, (), PAIR))
            pair = PreferencePair(
                clip=clip.id,
                video=readable(str(clip.path)),
                round=self.round,
                aspect=aspect,
                question=question,
                prompt=given.prompt,
                chosen=given.chosen,
                rejected=given.rejected,
                critique="",
                reference_chosen_logp=both[0],
                reference_rejected_logp=both[1],
                seed=derive_seed(self.run_seed, self.round, clip.id),
                prompt_version=PROMPT_VERSION,
            )
            other = given.rejected_clip
            pairs.append(pair if other is None else TwoClipPair(**vars(pair), rejected_clip=other.id))
        return ClipResult(clip, tuple(pairs), tuple(traces))

    def _known(self, clip: Clip) -> dict[GivenPair, Logps | None]:
        return {
            pair: self.given.known.get(pair_digest(pair, *(self._content(one.path) for one in pair.clips)))
            for pair in self._of_clip.get(clip, ())
        }

    def _content(self, path: Path) -> str | None:
        if path not in self._contents:
            self._contents[path] = content_digest(path)
        return self._contents[path]


def _requests(pair: GivenPair, places: Mapping[Clip, int]) -> list[ScoreRequest]:
    """What scores the chosen response and then the rejected one. places: of the session's clips."""
    if pair.rejected_clip is None:
        return [ScoreRequest(places[pair.clip], pair.prompt, (pair.chosen, pair.rejected))]
    sides = ((pair.clip, pair.chosen), (pair.rejected_clip, pair.rejected))
    return [ScoreRequest(places[clip], pair.prompt, (response,)) for clip, response in sides]
