"""The key of a round: a digest of all that its pairs depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from savi.critique.filters import FilterSettings
from savi.critique.own_filters import PairFilter
from savi.critique.round_files import round_key
from savi.critique.settings import ChainSettings
from savi.files import digest_json
from savi.methods.base import PairMethod
from savi.models.load import BaseSettings
from savi.models.session import Reference
from savi.prompts.templates import Prompts
from savi.record.earlier_methods import DEFAULTS, chain_of
from savi.record.renamed import earlier_names
from savi.record.settings_kinds import without_later
from savi.types import Clip


@dataclass(frozen=True)
class PairsDependOn:
    """What a run's pairs depend on, apart from its clips. fingerprint: of the base. precision: Lightning's name of it.
    batch_clips: clips that go through the chain together. given: of pairs from files, which depend on no chain, what
    they depend on besides the model and its frames.
    """

    seed: int
    fingerprint: str
    base: BaseSettings
    reference: Reference
    method: PairMethod
    prompts: Prompts
    chain: ChainSettings
    filters: FilterSettings
    own_filters: Sequence[PairFilter]
    frames: int
    max_pixels: int | None
    precision: str
    batch_clips: int
    given: Mapping[str, Any] | None = None

    def key(self, clips: Sequence[Clip], run: Path, round: int) -> str:
        """The key of a round in a run's folder. A half-built round is resumed under the same one only."""
        parts: dict[str, Any] = {
            "seed": self.seed,
            "base": self.base.identity(self.fingerprint),
            "reference": self.reference,
            "frames": [self.frames, self.max_pixels],
            "clips": [clip.id for clip in clips],
        }
        if self.precision != "32-true":
            parts["precision"] = self.precision
        if self.given is not None:
            return digest_json({**parts, **self.given})
        method = self.method.identity()
        earlier_chain = chain_of(method)
        chain = {**(earlier_chain or DEFAULTS), **without_later(asdict(self.chain), "model.chain")}
        parts |= {
            "prompts": {name: text for name, text in asdict(self.prompts).items() if name != "same_meaning" or text},
            "chain": earlier_names(chain, "model.chain"),
            "filters": without_later(asdict(self.filters), "model.filters"),
        }
        if self.own_filters:
            parts["own_filters"] = [own.identity() for own in self.own_filters]
        with_batches = {**parts, "clips_per_chain": self.batch_clips}
        if earlier_chain is None:
            return digest_json({**(with_batches if self.method.within_batch else parts), "pairs": method})
        if self.method.within_batch:
            return digest_json(with_batches)
        # Versions before ea11d21 began every round under the size of batches too. What they began is still resumed.
        earlier = digest_json(with_batches)
        return earlier if round_key(run, round) == earlier else digest_json(parts)
