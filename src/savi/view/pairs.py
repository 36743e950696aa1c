"""The view of clips and of each question's way through the chain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from savi.types import SaviError
from savi.view.media import Place
from savi.view.rounds import PAIR, RoundIndex, said_of
from savi.view.run import ViewedRun

PART = 200
"""Clips in one document of texts to search."""

POLICY = ("steps", "chosen_logps", "rejected_logps", "beta")
"""What is shown of the policy's log-probabilities of a pair: a value for each step that learned from it."""

LATER = "The policy's log-probabilities of these pairs are written when the round's training ends."
MISSING = "This round has no log-probabilities of the policy. Older versions of savi did not keep them."
OF_OTHERS = "The policy's log-probabilities of this round are not shown: their file is of other pairs."


class Pairs:
    """Documents about a run's clips. A clip's number counts the ids over the rounds, in the order of their files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rounds: dict[int, RoundIndex] = {}
        self.numbers: dict[str, int] = {}
        self.videos: list[str] = []

    def refresh(self, run: ViewedRun, round: int | None = None) -> None:
        """Take in what is new of one round and those before it; of all rounds by default."""
        for number in sorted(run.built):
            if round is None or number <= round:
                index = self.rounds.setdefault(number, RoundIndex(self.folder, number))
                index.refresh()
                for clip, video in zip(index.clips, index.videos, strict=True):
                    if self.numbers.setdefault(clip, len(self.videos)) == len(self.videos):
                        self.videos.append(video)

    def names(self, run: ViewedRun) -> Iterator[str]:
        """The documents of the view, for a page without a server."""
        self.refresh(run)
        for number, index in self.rounds.items():
            yield f"round_{number}"
            yield from (f"text_{number}_{part}" for part in range(-(-len(index.clips) // PART)))
        for clip in range(len(self.videos)):
            yield f"clip_{clip}"
            yield f"media_{clip}"

    def document(self, run: ViewedRun, kind: str, numbers: list[int]) -> dict[str, Any] | None:
        """A document by the parts of its name; None where there is none of that name."""
        match kind, numbers:
            case "round", [round]:
                self.refresh(run, round)
                return self._round(round) if round in self.rounds else None
            case "text", [round, part]:
                self.refresh(run, round)
                return self._text(round, part) if round in self.rounds else None
            case "clip", [clip]:
                self.refresh(run)
                return self._clip(run, clip) if clip < len(self.videos) else None
        return None

    def search(self, run: ViewedRun, round: int, words: str) -> dict[int, list[int]]:
        """As RoundIndex.find(); {} for a round that isn't there."""
        self.refresh(run, round)
        return self.rounds[round].find(words.lower()) if round in self.rounds else {}

    def place(self, clip: int) -> Place | None:
        """Where a clip's video is; None where there is no such clip."""
        if clip >= len(self.videos):
            return None
        return self.locate(self.videos[clip]), f"the video is no longer at {self.videos[clip]}"

    def locate(self, video: str) -> Path | None:
        """A video's file: where the run had it. A relative path may count from a folder above the run's."""
        named = Path(video)
        places = [named] if named.is_absolute() else [named, *(up / named for up in self.folder.parents)]
        return next((place.absolute() for place in places if place.is_file()), None)

    def _round(self, round: int) -> dict[str, Any]:
        index = self.rounds[round]
        return {
            "names": index.names,
            "part": PART,
            "clips": [
                {"number": self.numbers[clip], "id": clip, "codes": index.codes(place)}
                | ({"rejected": index.rejected[place]} if place in index.rejected else {})
                for place, clip in enumerate(index.clips)
            ],
        }

    def _text(self, round: int, part: int) -> dict[str, Any]:
        """What the search of a page without a server looks at: said_of() each question of some clips."""
        index = self.rounds[round]
        last = min((part + 1) * PART, len(index.clips))
        records = index.traces(min(part * PART, last), last)
        return {"said": [[said_of(trace) for trace in record["traces"]] for record in records]}

    def _clip(self, run: ViewedRun, clip: int) -> dict[str, Any]:
        rounds = []
        trained = {entry["round"] for entry in run.entries}
        for number, index in self.rounds.items():
            for place in [at for at, name in enumerate(index.clips) if self.numbers[name] == clip]:
                (record,) = index.traces(place, place + 1)
                pairs, logps = index.pairs(place), index.policy_logps(place)
                with_logps = zip(pairs, [None] * len(pairs) if logps is None else logps, strict=True)
                questions = [_question(trace, with_logps) for trace in record["traces"]]
                shown = {"round": number, "rejected": record["rejected"], "questions": questions}
                if logps is None:
                    missing = MISSING if number in trained else LATER
                    shown["no_policy"] = OF_OTHERS if index.logps_path.is_file() else missing
                rounds.append(shown)
        ids = list(self.numbers)
        return {"number": clip, "id": ids[clip], "video": self.videos[clip], "rounds": rounds}


def _question(trace: dict[str, Any], pairs: Iterator[tuple[dict[str, Any], dict[str, Any] | None]]) -> dict[str, Any]:
    """A trace with its pair's responses and log-probabilities, if it became one. pairs: each with the policy's."""
    kept: dict[str, Any] = {
        name: trace[name] for name in ("aspect", "question", "outcome", "place", "reason") if name in trace
    }
    kept["turns"] = [{name: turn[name] for name in turn if name != "seed"} for turn in trace["turns"]]
    pair, policy = next(pairs, (None, None)) if trace["outcome"] == PAIR else (None, None)
    if pair is not None:
        if pair["question"] != trace["question"]:
            raise SaviError(f"the pairs of {pair['clip']} don't fit its traces: one of the files was changed")
        kept["pair"] = {
            name: pair[name]
            for name in ("chosen", "rejected", "reference_chosen_logp", "reference_rejected_logp", "prompt_version")
        }
        if policy is not None:
            kept["pair"]["policy"] = {name: policy[name] for name in POLICY if name in policy}
    return kept
