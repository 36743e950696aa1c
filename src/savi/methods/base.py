"""Methods: what a class must do so that a run learns from its pairs.

Resumption, several processes, the frozen reference's scores, filters, traces and dashboards come with every method.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from savi.critique.builder import PairMaker
from savi.critique.chain import CritiqueChain
from savi.critique.critics import CriticSettings
from savi.critique.filters import FilterSettings, filter_reply
from savi.critique.settings import ChainSettings
from savi.critique.store import ClipResult
from savi.critique.turns import Asked
from savi.errors import SaviError
from savi.inference import Session, VideoModel
from savi.prompts.templates import Prompts
from savi.types import Clip, Frames, Turn, derive_seed


@dataclass(frozen=True)
class Round:
    """What a method makes pairs with: the model of this moment, and the run's settings. index: of the round, from 0."""

    model: VideoModel
    prompts: Prompts
    chain: ChainSettings
    filters: FilterSettings
    run_seed: int
    index: int


class PairMethod(ABC):
    """Makes a round's pairs. `model.pairs` in an experiment file names a subclass; its arguments are settings.

    A method must depend on nothing but its arguments and what it is given: a run that was killed is resumed with it.
    """

    @abstractmethod
    def maker(self, round: Round) -> PairMaker:
        """What takes batches of a round's clips and gives their pairs and traces."""

    def identity(self) -> list[Any]:
        """What tells the method from others: its class, and its settings, which are its attributes.

        Raises SaviError for attributes that JSON can't hold: a killed run could not tell whether they are the same.
        """
        kind = type(self)
        try:
            return [f"{kind.__module__}.{kind.__qualname__}", json.loads(json.dumps(vars(self)))]
        except TypeError as error:
            raise SaviError(
                f"model.pairs: attributes of {kind.__name__} must be settings that JSON holds: {error}"
            ) from None


@dataclass(frozen=True)
class Responses:
    """Two responses to one question. turns: how they came about, for the traces.

    filtered_by: the name of the filter that takes the question, None for a pair.
    """

    chosen: str = ""
    rejected: str = ""
    turns: tuple[Turn, ...] = ()
    filtered_by: str | None = None


class QuestionMethod(PairMethod):
    """Asks about each clip as the critique chain does. A subclass says which two responses make a pair."""

    @abstractmethod
    def respond(self, session: Session, questions: Sequence[Asked], round: Round) -> list[Responses]:
        """Two responses to each question, in order. session: the batch of clips that the questions are about."""

    def maker(self, round: Round) -> PairMaker:
        return _QuestionMaker(self, round)


class _QuestionMaker(CritiqueChain):
    """The chain up to its questions, and from its pairs on; between the two a method responds."""

    def __init__(self, method: QuestionMethod, round: Round) -> None:
        # An experiment file that others extend may name a critic: nobody criticizes here.
        settings = replace(round.chain, chosen_source="sample", critic=CriticSettings(), decoding="own")
        super().__init__(round.model, round.prompts, settings, round.filters, round.run_seed, round.index)
        self._method = method
        self._round = round

    def run(self, clips: Sequence[Clip], frames: Sequence[Frames | None]) -> list[ClipResult]:
        session = self.model.encode(clips, frames)
        seeds = [derive_seed(self.run_seed, self.round, clip.id) for clip in clips]
        threads = self._ask(session, seeds)
        asked = [thread for thread in threads if thread.filtered_by is None]
        questions = [Asked(one.clip, one.question, derive_seed(seeds[one.clip], "responses", one.key)) for one in asked]
        for thread, given in zip(asked, self._method.respond(session, questions, self._round), strict=True):
            thread.turns.extend(given.turns)
            thread.replies |= {"answer": given.rejected, "sample": given.chosen}
            thread.filtered_by = given.filtered_by or next(
                filter(None, (filter_reply(text, True, self.filters) for text in (given.chosen, given.rejected))), None
            )
        self._compare(session, [thread for thread in asked if thread.filtered_by is None])
        return self._results(session, seeds, threads)
