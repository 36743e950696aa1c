"""Makes a round's pairs of those from files: it has the reference score them, and refuses those that are too long."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from savi.conversations import last_words
from savi.critique.filters import NOT_IN_TEMPLATE, OVERLONG
from savi.critique.given import GivenPair, GivenPairs, pair_digest
from savi.critique.question_maker import PAIR
from savi.critique.reference_logps import Logps, ReferenceLogps
from savi.critique.store import ClipResult
from savi.distributed.sharding import chunks
from savi.errors import SaviError
from savi.files import content_digest
from savi.inference import ScoreRequest, Session, VideoModel
from savi.prompts.content import aspect_of
from savi.types import Clip, Frames, PairAspect, PreferencePair, RefusedPair, Trace, derive_seed, readable

PROMPT_VERSION = "given"
"""The version of the prompts of a pair from a file, which has its own."""


class GivenPairMaker:
    """Takes batches of clips, as the critique chain does, and gives their pairs from the files.

    A clip is encoded only where the log-probabilities of one of its pairs aren't known yet, and once for all of them.
    """

    def __init__(
        self,
        model: VideoModel,
        given: GivenPairs,
        known: ReferenceLogps,
        run_seed: int,
        round_index: int,
        max_length: int | None = None,
        pairs_at_once: int = 32,
    ) -> None:
        """known: under the reference of this round. max_length: most tokens of clip, prompt and response; None for what
        the model was made for. pairs_at_once: of a clip, in a pass of the reference."""
        self.model = model
        self.known = known
        self.run_seed = run_seed
        self.round = round_index
        self.max_length = max_length if max_length is not None else model.max_length
        self.pairs_at_once = pairs_at_once
        self._of_clip: dict[Clip, list[GivenPair]] = {}
        for pair in given.pairs:
            self._of_clip.setdefault(pair.clip, []).append(pair)
        self._contents: dict[Path, str | None] = {}

    def is_cached(self, clip: Clip) -> bool:
        """Whether run() can do without this clip's frames."""
        return None not in self._known(clip).values() or self.model.is_cached(clip)

    def run(self, clips: Sequence[Clip], frames: Sequence[Frames | None]) -> list[ClipResult]:
        """Pairs and traces of a batch of clips. frames may be None where is_cached() says so."""
        logps = {pair: known for clip in clips for pair, known in self._known(clip).items()}
        refused: dict[GivenPair, tuple[str, str]] = {}
        unknown = [index for index, clip in enumerate(clips) if None in self._known(clip).values()]
        if unknown:
            session = self.model.encode([clips[i] for i in unknown], [frames[i] for i in unknown])
            requests = {
                pair: ScoreRequest(index, pair.prompt, (pair.chosen, pair.rejected))
                for index, clip in enumerate(session.clips)
                for pair, known in self._known(clip).items()
                if known is None
            }
            refused = {pair: why for pair, request in requests.items() if (why := self._refusal(session, request))}
            wanted = {pair: request for pair, request in requests.items() if pair not in refused}
            scored = dict(zip(wanted, self._score(session, list(wanted.values())), strict=True))
            logps |= scored
        return [self._result(clip, logps, refused) for clip in clips]

    def _score(self, session: Session, requests: Sequence[ScoreRequest]) -> list[Logps]:
        """Log-probabilities of both responses of each request: in passes of some pairs of each clip."""
        places: dict[int, list[int]] = {}
        for place, request in enumerate(requests):
            places.setdefault(request.clip, []).append(place)
        cut = [list(chunks(of_clip, self.pairs_at_once)) for of_clip in places.values()]
        scored: dict[int, Logps] = {}
        for number in range(max(map(len, cut), default=0)):
            some = [place for parts in cut if number < len(parts) for place in parts[number]]
            both = session.score_reference([requests[place] for place in some]).logps.view(-1, 2).tolist()
            scored |= {place: (chosen, rejected) for place, (chosen, rejected) in zip(some, both, strict=True)}
        return [scored[place] for place in range(len(requests))]

    def _refusal(self, session: Session, request: ScoreRequest) -> tuple[str, str] | None:
        """The filter that takes a pair and its reason, or None."""
        try:
            length = session.length(request)
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
        for given in self._of_clip[clip]:
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
            pairs.append(
                PreferencePair(
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
            )
        return ClipResult(clip, tuple(pairs), tuple(traces))

    def _known(self, clip: Clip) -> dict[GivenPair, Logps | None]:
        if clip.path not in self._contents:
            self._contents[clip.path] = content_digest(clip.path)
        content = self._contents[clip.path]
        return {pair: self.known.get(pair_digest(content, pair)) for pair in self._of_clip[clip]}
