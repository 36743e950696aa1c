"""What the pairs of one round are made with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from savi.critique.filters import FilterSettings
from savi.critique.given import PairsToScore
from savi.critique.own_filters import PairFilter
from savi.critique.settings import ChainSettings
from savi.errors import SaviError
from savi.inference import VideoModel
from savi.prompts.templates import Prompts


def _load_nothing(path: str) -> VideoModel:
    raise SaviError(f"{path}: no second checkpoint can be loaded here")


@dataclass(frozen=True)
class Round:
    """The model of this moment, and the run's settings. index: of the round, from 0. load: another checkpoint, by its
    folder or hub name; it is loaded once. own_filters: the user's, which see each pair after savi's. given: pairs
    from files, None where the model makes its pairs itself."""

    model: VideoModel
    prompts: Prompts
    chain: ChainSettings
    filters: FilterSettings
    run_seed: int
    index: int
    load: Callable[[str], VideoModel] = _load_nothing
    own_filters: Sequence[PairFilter] = ()
    given: PairsToScore | None = None
