"""A person's blind judgment of pairs: which reply is right, where nothing tells which one was chosen."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from savi.evaluation.intervals import Z95, clustered_interval
from savi.files import write_json_lines
from savi.types import SaviError
from savi.view.lines import records
from savi.view.pairs import Pairs

JUDGMENTS = Path("judged") / "judgments.jsonl"
LABELLED = Path("judged") / "labelled.jsonl"
"""In the run's folder: what was judged, and the replies found right as questions for `data.labelled`."""

BATCH = 20
"""Pairs in one document."""

PICKS = ("first", "second", "both", "neither")

Key = tuple[int, int, int]
"""A pair: its round, its clip's place in the round's files, its number among the clip's pairs."""


class Judge:
    """The judgments of one run. They are kept in its folder, in the order in which they were made."""

    def __init__(self, folder: Path, pairs: Pairs) -> None:
        self.folder = folder
        self.pairs = pairs
        self._ordered: tuple[dict[int, int], list[Key]] = ({}, [])

    def document(self, live: bool) -> dict[str, Any]:
        """Pairs to judge, in an order that depends on the run alone, and how many were judged."""
        judged = self._latest()
        following = (key for key in self._order() if _name(key) not in judged) if live else ()
        return {"judged": len(judged), "pairs": [self._shown(key) for key in islice(following, BATCH)]}

    def agreement(self) -> dict[str, Any]:
        """How often the person picked the chosen reply, in all and by round."""
        judged = list(self._latest().values())
        rounds = sorted({one["round"] for one in judged})
        return {
            "all": agreement(judged),
            "rounds": [
                {"round": number, **agreement([one for one in judged if one["round"] == number])} for number in rounds
            ],
            "labelled": str(self.folder / LABELLED),
        }

    def judge(self, name: str, pick: str) -> None:
        """Keep a judgment, in the place of an earlier one of the same pair. Raises SaviError for one of no pair."""
        key = self._key(name)
        if key is None or pick not in PICKS:
            raise SaviError("no such pair, or no such judgment")
        pair = self._pair(key)
        sides = _sides(key)
        record = {
            "pair": name,
            **{field: pair[field] for field in ("clip", "video", "question", "chosen", "rejected")},
            "round": key[0],
            "shown_first": sides[0],
            "picked": dict(zip(("first", "second"), sides, strict=True)).get(pick, pick),
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        path = self.folder / JUDGMENTS
        path.parent.mkdir(exist_ok=True)
        with path.open("ab") as file:
            file.write((json.dumps(record, ensure_ascii=False) + "\n").encode("utf-8", "replace"))
        write_json_lines(self.folder / LABELLED, self._labelled())

    def _labelled(self) -> Iterator[dict[str, str]]:
        """What `savi.data.labelled` reads: a question with a reply that the person found right."""
        for one in self._latest().values():
            if one["picked"] != "neither":
                right = one["rejected"] if one["picked"] == "rejected" else one["chosen"]
                video = self.pairs.locate(one["video"]) or Path(one["video"])
                yield {"video": str(video), "question": one["question"], "answer": right}

    def _latest(self) -> dict[str, dict[str, Any]]:
        """The last judgment of each pair."""
        path = self.folder / JUDGMENTS
        if not path.is_file():
            return {}
        return {record["pair"]: record for _, record in records(path, 0, path.stat().st_size)}

    def _order(self) -> list[Key]:
        """Every pair, at random. It is kept until there are more."""
        sizes = {number: len(index.clips) for number, index in self.pairs.rounds.items()}
        if sizes != self._ordered[0]:
            keys = [
                (number, place, at)
                for number, index in self.pairs.rounds.items()
                for place in range(len(index.clips))
                for at in range(index.pair_count(place))
            ]
            self._ordered = sizes, sorted(keys, key=lambda key: _draw("order", key))
        return self._ordered[1]

    def _key(self, name: str) -> Key | None:
        """The pair of a name, None where there is none."""
        parts = name.split("-")
        if len(parts) != 3 or not all(part.isdecimal() for part in parts):
            return None
        number, place, at = map(int, parts)
        index = self.pairs.rounds.get(number)
        known = index is not None and place < len(index.clips) and at < index.pair_count(place)
        return (number, place, at) if known else None

    def _pair(self, key: Key) -> dict[str, Any]:
        number, place, at = key
        return self.pairs.rounds[number].pairs(place)[at]

    def _shown(self, key: Key) -> dict[str, Any]:
        pair, index = self._pair(key), self.pairs.rounds[key[0]]
        first, second = (pair[side] for side in _sides(key))
        return {
            "pair": _name(key),
            "clip": self.pairs.numbers[index.clips[key[1]]],
            "question": pair["question"],
            "first": first,
            "second": second,
        }


def agreement(judged: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Counts of what was picked, and the share of the chosen replies in the decided pairs, with a 95 % interval.

    The interval is the wider one of Wilson's and of the one that lets pairs of a clip stand or fall together, which is
    of no width where all agree.
    """
    counts = Counter(one["picked"] for one in judged)
    decided = [one for one in judged if one["picked"] in ("chosen", "rejected")]
    if not decided:
        return {"counts": dict(counts), "agreement": None, "interval": None}
    size = len(decided)
    share = counts["chosen"] / size
    middle, half = (
        share + Z95**2 / (2 * size),
        Z95 * math.sqrt(share * (1 - share) / size + Z95**2 / (4 * size**2)),
    )
    low, high = ((middle + sign * half) / (1 + Z95**2 / size) for sign in (-1, 1))
    scores = [float(one["picked"] == "chosen") for one in decided]
    by_clip = clustered_interval(scores, [1 / size] * size, [""] * size, [one["clip"] for one in decided])
    low, high = (low, high) if by_clip is None else (min(low, by_clip[0]), max(high, by_clip[1]))
    return {"counts": dict(counts), "agreement": share, "interval": [low, high]}


def _name(key: Key) -> str:
    return "-".join(map(str, key))


def _draw(what: str, key: Key) -> bytes:
    """Bytes at random that are the same each time."""
    return hashlib.blake2b(f"{what} {_name(key)}".encode(), digest_size=8).digest()


def _sides(key: Key) -> tuple[str, str]:
    """Which reply is shown first, and which second."""
    return ("chosen", "rejected") if _draw("side", key)[0] % 2 else ("rejected", "chosen")
