"""The campaign's tables, in Markdown."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from tools.faults.cases import KINDS, PHASES

HEADER = ["run", *PHASES, "kills", "stops", "runs", "differences"]


def runs_table(cases: Sequence[dict[str, Any]]) -> str:
    """Kills by kind of run and phase; runs that were compared; differences found in them."""
    rows = []
    for kind in KINDS:
        mine = [case for case in cases if case["kind"] == kind]
        if mine:
            rows.append([kind, *_counts(mine)])
    return markdown(HEADER, [*rows, ["all", *_counts(cases)]])


def _counts(cases: Sequence[dict[str, Any]]) -> list[str]:
    kills = Counter(phase for case in cases for phase in case["kills"])
    totals = [kills.total(), sum(case["stops"] for case in cases), len(cases)]
    differences = sum(len(case["differences"]) for case in cases)
    return [str(number) for number in (*(kills[phase] for phase in PHASES), *totals, differences)]


def videos_table(videos: Sequence[dict[str, Any]]) -> str:
    """Damaged videos by kind of damage: how many were accepted and refused, and each kind of defect."""
    kinds: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for video in videos:
        kinds[video["kind"]].append(video)
    rows = [[kind, *_outcomes(mine)] for kind, mine in sorted(kinds.items())]
    header = ["damage", "videos", "accepted", "refused", "worker ended", "crashes", "hangs", "wrong clips"]
    return markdown(header, [*rows, ["all", *_outcomes(videos)]])


def _outcomes(videos: Sequence[dict[str, Any]]) -> list[str]:
    outcomes = Counter(video["outcome"] for video in videos)
    crashes = sum(video["defect"].startswith("crash") for video in videos)
    hangs = sum(video["defect"].startswith("hang") for video in videos)
    wrong = sum(bool(video["defect"]) for video in videos) - crashes - hangs
    numbers = [outcomes[name] for name in ("accepted", "refused", "worker ended")]
    return [str(number) for number in (len(videos), *numbers, crashes, hangs, wrong)]


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns are aligned in the source too; numbers to the right."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = [
        [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        for row in (header, rule, *rows)
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
