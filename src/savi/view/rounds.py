"""An index of a round's traces: what each clip's questions came to, and where its lines are in the files."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from savi.critique.pairs import to_record
from savi.critique.round_files import policy_logps_path, round_paths
from savi.view.lines import line_starts, records
from savi.view.run import committed

PAIR = "pair"
"""The outcome of a question that became a pair, see :class:`savi.types.Trace`."""

KINDS = ("how many", "how", "which", "what", "where", "when", "why", "who", "yes or no", "other")
"""Kinds of questions, told by their first words."""

YES_OR_NO = re.compile(r"(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should)\b")


class RoundIndex:
    """A round as far as it is built. A clip's place is its number in the round's files, from 0.

    clips, videos: ids and paths, as the traces have them. rejected: why clips could not be used, by place. names: the
    aspects, kinds and outcomes behind the codes.
    """

    def __init__(self, folder: Path, round: int) -> None:
        self.pairs_path, self.traces_path, _ = round_paths(folder, round - 1)
        self.logps_path = policy_logps_path(folder, round - 1)
        self.folder, self.round = folder, round
        self._logps_written = 0  # when, in nanoseconds
        self._logps_starts = array("Q", [0])
        self._empty()

    def _empty(self) -> None:
        self.clips: list[str] = []
        self.videos: list[str] = []
        self.rejected: dict[int, str] = {}
        self.names: dict[str, list[str]] = {"aspect": [], "kind": list(KINDS), "outcome": [PAIR]}
        self._codes = bytearray()  # three bytes for each question: its aspect, kind and outcome
        self._questions = array("L", [0])  # of each clip: the number of its first question
        self._pairs = array("L", [0])  # of each clip: the number of its first pair
        self._starts = array("Q", [0])  # the first byte of each clip's line, and the byte behind the last line
        self._pair_starts = array("Q", [0])

    def refresh(self) -> None:
        """Take in what was committed since the last call. A round that was built anew is read anew."""
        pairs_end, traces_end = committed(self.folder, self.round)
        if traces_end < self._starts[-1] or pairs_end < self._pair_starts[-1]:
            self._empty()
        for end, record in records(self.traces_path, self._starts[-1], traces_end):
            self._take(record)
            self._starts.append(end)
        if self.pairs_path.is_file():
            self._pair_starts.extend(line_starts(self.pairs_path, self._pair_starts.pop(), pairs_end))
        # The file of the policy's log-probabilities is there as a whole, or not at all.
        found = self.logps_path.stat() if self.logps_path.is_file() else None
        if (written := found.st_mtime_ns if found else 0) != self._logps_written:
            self._logps_written = written
            self._logps_starts = line_starts(self.logps_path, 0, found.st_size) if found else array("Q", [0])

    def _take(self, record: dict[str, Any]) -> None:
        traces = record["traces"]
        for trace in traces:
            found = {"aspect": trace["aspect"], "kind": kind_of(trace["question"]), "outcome": trace["outcome"]}
            for name, value in found.items():
                if value not in self.names[name]:
                    self.names[name].append(value)
                self._codes.append(self.names[name].index(value))
        if record["rejected"] is not None:
            self.rejected[len(self.clips)] = record["rejected"]
        self.clips.append(record["clip"])
        self.videos.append(record["video"])
        self._questions.append(self._questions[-1] + len(traces))
        self._pairs.append(self._pairs[-1] + sum(trace["outcome"] == PAIR for trace in traces))

    def codes(self, place: int) -> list[list[int]]:
        """[aspect, kind, outcome] of each question of a clip, as indices into `names`."""
        first, last = self._questions[place], self._questions[place + 1]
        return [list(self._codes[3 * i : 3 * i + 3]) for i in range(first, last)]

    def traces(self, first: int, last: int) -> Iterator[dict[str, Any]]:
        """The records of the clips from `first` up to `last`, without it."""
        return (record for _, record in records(self.traces_path, self._starts[first], self._starts[last]))

    def find(self, words: str) -> dict[int, list[int]]:
        """The numbers of the questions in whose said_of() the words occur, by clip's place. words: in small letters.

        A line is parsed only if it has the longest part of the words that JSON writes unchanged: parsing takes longest.
        """
        plain = max(re.findall("[a-z0-9 ]*", words), key=len).encode()
        found = {}
        with self.traces_path.open("rb") as file:
            for place, (start, end) in enumerate(pairwise(self._starts)):
                line = file.read(end - start)
                if plain in line.lower():
                    traces = to_record(f"{self.traces_path}, at byte {start}", line)["traces"]
                    if numbers := [number for number, trace in enumerate(traces) if words in said_of(trace)]:
                        found[place] = numbers
        return found

    def pair_count(self, place: int) -> int:
        """How many of a clip's questions became a pair."""
        return self._pairs[place + 1] - self._pairs[place]

    def pairs(self, place: int) -> list[dict[str, Any]]:
        """The pairs of a clip, in the order of its questions that became one; fewer where their file was changed."""
        ends = [min(self._pairs[at], len(self._pair_starts) - 1) for at in (place, place + 1)]
        start, end = (self._pair_starts[at] for at in ends)
        return [record for _, record in records(self.pairs_path, start, end)] if end > start else []

    def policy_logps(self, place: int) -> list[dict[str, Any]] | None:
        """What the policy gave to the pairs of a clip; None where the round has no file of it, or one of other pairs.

        The records are those of :func:`savi.training.policy_logps.pair_records`, in the order of pairs().
        """
        if len(self._logps_starts) != len(self._pair_starts):
            return None
        start, end = (self._logps_starts[self._pairs[at]] for at in (place, place + 1))
        found = [record for _, record in records(self.logps_path, start, end)]
        return found if all(record["clip"] == self.clips[place] for record in found) else None


def said_of(trace: dict[str, Any]) -> str:
    """All that was said about a question, in small letters; a row of a file of pairs has the question alone."""
    replies: str = " \n".join(turn["reply"] for turn in trace["turns"]).lower()
    return replies or str(trace["question"]).lower()


def kind_of(question: str) -> str:
    """The kind of a question: "how many", "which", "yes or no" and so on."""
    words = question.lower().lstrip()
    if YES_OR_NO.match(words):
        return "yes or no"
    return next((kind for kind in KINDS if re.match(rf"{kind}\b", words)), "other")
