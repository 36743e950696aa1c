"""The rounds of a run that learns from pairs in files: one round is one epoch over them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import transformers
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only

from savi.critique.builder import BuiltRound
from savi.critique.given import GivenPairs, PairsToScore, RefusedRow, pair_digest
from savi.critique.pairs import json_records
from savi.critique.reference_logps import FOLDER, ReferenceLogps
from savi.critique.round_report import LISTED
from savi.errors import SaviError
from savi.files import write_json
from savi.training.aligned_model import AlignedModel
from savi.training.datamodule import ClipDataModule
from savi.types import clips_of

SOURCE = Path("pairs") / "source.json"
"""In a run's folder: where its pairs are from, and the rows that none was made of."""


class GivenRounds:
    """Notes in the run's folder what the rounds learn from, and keeps the reference's log-probabilities next to the
    files."""

    def __init__(self, given: GivenPairs, module: AlignedModel, data: ClipDataModule, run: Path) -> None:
        self.given = given
        self._module = module
        self._data = data
        self._run = run
        self._logps: ReferenceLogps | None = None

    def begin(self) -> None:
        """Say what was found. Raises SaviError where the run was begun with other pairs. Changes no file."""
        place = self._run / SOURCE
        built = any((self._run / "pairs").glob("round_*.progress.json"))
        if built and _read(place).get("digest") != self.given.digest():
            raise SaviError(
                f"data.pairs: {self.given.source} has other pairs than {self._run} was begun with; a run learns from "
                "the same pairs in every round: put them back, or start a new run"
            )
        rank_zero_info(self.given.line())
        _say_refused(self.given.refused, place)

    def to_score(self) -> PairsToScore:
        """The pairs of a round, which begins now."""
        if not (self._run / SOURCE).is_file():
            self._record(0, self.given.refused)
        data = self._data
        return PairsToScore(self.given, self._known(), data.read_frames, data.max_length, data.pairs_per_step)

    def key_parts(self) -> dict[str, Any]:
        """What a round's pairs depend on, besides the model and its frames."""
        return {"pairs": self.given.digest(), "max_length": self._data.max_length}

    def keep(self, built: BuiltRound) -> None:
        """Keep the log-probabilities of a round, and the rows that weren't used; say which these are in the first."""
        if self._module.reference == "base":
            # In every process: none of them scores these pairs again in the next round.
            self._known().add(
                {
                    pair_digest(pair, *(built.contents[clip] for clip in clips_of(pair))): (
                        pair.reference_chosen_logp,
                        pair.reference_rejected_logp,
                    )
                    for pair in built.pairs
                }
            )
        self._write(built)

    @rank_zero_only
    def _write(self, built: BuiltRound) -> None:
        if place := self._known().write():
            rank_zero_info(f"The reference's log-probabilities are kept for later runs: {place}")
        found = list(self._refused(built))
        if built.round == 0:
            _say_refused(found, self._run / SOURCE)
        self._record(len(built.pairs), [*self.given.refused, *found])

    @rank_zero_only
    def _record(self, pairs: int, refused: Sequence[RefusedRow]) -> None:
        """Note in the run's folder what it learns from. pairs: how many the reference has scored."""
        record = {
            "source": self.given.source,
            "digest": self.given.digest(),
            "pairs": pairs,
            "shapes": dict(self.given.shapes),
            "refused": [{"row": row.place, "reason": row.reason} for row in refused],
        }
        write_json(self._run / SOURCE, record)

    def _known(self) -> ReferenceLogps:
        """The base never changes, the model of the round before is another one in each round."""
        if self._module.reference != "base":
            return ReferenceLogps([], "")
        if self._logps is None:
            cache = self._data.sources.cache_folder / FOLDER
            home = [self.given.home / FOLDER] if self.given.home else []
            self._logps = ReferenceLogps([*home, cache], self._model_digest())
        return self._logps

    def _model_digest(self) -> str:
        module = self._module
        parts = [
            module.base_fingerprint(),
            module.base_weights,
            module.base_settings.dtype,
            module.base_settings.nf4,
            module.sampled_as,
            module.video_lm.device.type,
            str(module.video_lm.processor.chat_template),
            transformers.__version__,
            self._data.max_length,
        ]
        return hashlib.blake2b(json.dumps(parts).encode(), digest_size=8).hexdigest()

    def _refused(self, built: BuiltRound) -> Iterator[RefusedRow]:
        """The rows that the round made no pair of, by its traces."""
        places: dict[str, list[str]] = {}
        for pair in self.given.pairs:
            places.setdefault(pair.clip.id, []).append(pair.place)
        for _, record in json_records(built.traces):
            if record["rejected"] is not None:
                for place in places[record["clip"]]:
                    yield RefusedRow(place, f"{record['video']}: {record['rejected']}")
            for trace in record["traces"]:
                if "reason" in trace:  # a RefusedPair
                    yield RefusedRow(trace["place"], trace["reason"])


def _say_refused(rows: Sequence[RefusedRow], place: Path) -> None:
    """The first rows on the terminal. place: the file that has them all."""
    for row in rows[:LISTED]:
        rank_zero_info(f"Left out: {row.place}: {row.reason}")
    if len(rows) > LISTED:
        rank_zero_info(f"Left out: {len(rows) - LISTED} more rows, which will be in {place}")


def _read(place: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(place.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SaviError(f"{place} can't be read ({error})") from None
