"""The figures of a run with what they were measured on, so that only figures of one set are compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from savi.types import SaviError

WORLD_KEYS = ("accuracy", "by_task", "errors", "items", "free_form_accuracy", "malformed")
"""Where older runs kept the rendered world's figures: in the round's entry itself, not below `benchmarks`."""

Entry = dict[str, Any]
"""A round in results.json."""

Summary = Mapping[str, Any]
"""What an evaluation measured on one benchmark: the JSON object below its name in a round's `benchmarks`."""


@dataclass(frozen=True)
class MeasuredOn:
    """The set and the settings behind a figure. Figures are comparable where all of this is equal.

    split: which of the benchmark's sets. items, clips: how many were answered. of: how many items the set has; an
    evaluation that was cut short answers fewer. frames, frame_pixels: of each clip. seed: `data.benchmark_seed` of the
    rendered world; None for a benchmark of files. wording: its `data.wording`; None for the default, and for a
    benchmark of files. scorer: "likelihood", "reply" or "reply, strict". digest: of the answered items.
    """

    benchmark: str
    split: str
    items: int
    of: int
    clips: int
    frames: int
    frame_pixels: int | None
    seed: int | None
    wording: str | None
    scorer: str
    digest: str


def digest_items(items: Iterable[Sequence[object]]) -> str:
    """A short digest of the items' ids and texts, in any order."""
    digest = hashlib.blake2b(digest_size=8)
    for line in sorted(json.dumps(item) for item in items):
        digest.update(line.encode())
    return digest.hexdigest()


def read_results(path: Path) -> dict[str, Any]:
    """The parsed results.json, in today's form also where an older savi wrote it. Raises SaviError."""
    try:
        results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        results["rounds"] = [upgrade(entry) for entry in results["rounds"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SaviError(f"{path}: can't be read as a run's results ({error})") from None
    return results


def upgrade(entry: Entry) -> Entry:
    """An entry of results.json in today's form: each benchmark's figures below `benchmarks`."""
    if "accuracy" not in entry:
        return dict(entry)
    others = {name: value for name, value in entry.items() if name not in (*WORLD_KEYS, "benchmarks")}
    world = {name: entry[name] for name in WORLD_KEYS if name in entry}
    return {**others, "benchmarks": {"world": world, **entry.get("benchmarks", {})}}


def is_comparable(one: Summary, other: Summary) -> bool:
    """Whether two measurements of a benchmark were made on the same items in the same way.

    Older runs don't say. Within one of them, the same number of items counts as the same items.
    """
    places = [measurement.get("measured_on") for measurement in (one, other)]
    if places == [None, None]:
        return bool(one["items"] == other["items"])
    one_place, other_place = (place and {"wording": None, **place} for place in places)  # once there was one wording
    return bool(one_place == other_place)


def measured(rounds: Sequence[Entry]) -> list[Entry]:
    """The entries that hold a measurement."""
    return [entry for entry in rounds if entry.get("benchmarks")]


def comparable_with_last(rounds: Sequence[Entry]) -> list[Entry]:
    """The measured entries, each with the measurements alone that are comparable with the last entry's."""
    found = measured(rounds)
    return [kept for entry in found if (kept := keep_comparable(entry, found[-1]["benchmarks"]))["benchmarks"]]


def keep_comparable(entry: Entry, others: Mapping[str, Summary]) -> Entry:
    """The entry without the measurements that aren't comparable with the others of the same benchmark."""
    kept = {
        name: summary
        for name, summary in entry.get("benchmarks", {}).items()
        if name in others and is_comparable(summary, others[name])
    }
    return {**entry, "benchmarks": kept}


def left_out(rounds: Sequence[Entry]) -> list[tuple[Entry, str]]:
    """(entry, benchmark) of each measurement that isn't comparable with the last entry's."""
    found = measured(rounds)
    return [
        (entry, name)
        for entry in found
        for name, summary in entry["benchmarks"].items()
        if name not in found[-1]["benchmarks"] or not is_comparable(summary, found[-1]["benchmarks"][name])
    ]


def describe(measurement: Summary) -> str:
    """The set that a figure was measured on, in words: "360 questions on 120 clips (test, 32 frames)"."""
    place = measurement.get("measured_on")
    if place is None:
        return f"{measurement['items']} questions (an older run, which doesn't say of which set)"
    part = f" of {place['of']}" if place["items"] < place["of"] else ""
    details = [place["split"], "" if place["seed"] is None else f"seed {place['seed']}", f"{place['frames']} frames"]
    if place.get("wording"):
        details.insert(1, f"{place['wording']} wording")
    if place["frame_pixels"]:
        details.append(f"at most {place['frame_pixels']} pixels")
    if place["scorer"] == "likelihood":
        details.append("likelihood of the options")
    questions = f"{place['items']}{part} questions on {place['clips']} clips"
    return f"{questions} ({', '.join(detail for detail in details if detail)})"


def heading(entry: Entry) -> str:
    """How an entry is called: "base" or "round 3"."""
    return f"round {entry['round']}" if entry["round"] else "base"


def untrained(entry: Entry) -> str:
    """What to know of a round that was not trained whole, or "" """
    steps = entry.get("steps")
    if steps is None or steps["taken"] >= steps["planned"]:
        return ""
    evaluated = "" if entry.get("benchmarks") else " and was not evaluated"
    return f"stopped after {steps['taken']} of {steps['planned']} steps{evaluated}"
