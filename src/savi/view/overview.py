"""The first view: what was aligned on what, and what came of it."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from savi.critique.readiness import Readiness
from savi.evaluation.benchmarks.registry import BENCHMARKS
from savi.evaluation.intervals import clustered_interval
from savi.evaluation.measured import Entry, comparable_with_last, describe, heading, left_out, untrained
from savi.record.metrics import FIGURES, METRICS, read_rows
from savi.record.settings_kinds import in_words
from savi.types import SaviError
from savi.view.lines import records
from savi.view.run import ViewedRun

REWARDS = ("rewards/margins", "rewards/chosen", "rewards/rejected")

MOST_POINTS = 400
"""Points of a curve. Those of longer runs are means of several steps."""


def overview(run: ViewedRun) -> dict[str, Any]:
    """The document of the view."""
    entries = run.entries
    benchmarks = [_benchmark(run, name, points) for name, points in _series(entries).items()]
    document = {
        "folder": str(run.folder),
        "about": list(_about(run)),
        "benchmarks": benchmarks,
        "held_out": _held_out(entries),
        "rewards": _rewards(run),
        "flow": [_flow(run, number) for number in sorted({*run.built, *_trained(entries)})],
        "given": run.source is not None,
        "readiness": _readiness(run.folder / "readiness.json"),
        "seconds": [{"round": entry["round"], **entry["seconds"]} for entry in entries if entry.get("seconds")],
    }
    # What else is read may add to the run's problems: they come last.
    return document | {"status": {"state": run.status.state, "text": run.status.text}, "warnings": list(_warnings(run))}


def _about(run: ViewedRun) -> Iterator[tuple[str, str]]:
    """Labels and values in words."""
    facts, setting = run.results["run"], run.setting
    base = facts.get("base") or setting("model.base.path")
    if base:
        yield "base", "savi's miniature" if base == "world" else str(base)
    if setting("model.base.dtype"):
        yield "weights", "4 bits (NF4)" if setting("model.base.nf4") else str(setting("model.base.dtype"))
    if run.source:
        yield "learns from", f"pairs in {run.source}"
    elif setting("data.clips"):
        clips = "savi's rendered world" if setting("data.clips") == "world" else str(setting("data.clips"))
        yield "learns from", f"its own pairs on {run.clip_count or setting('data.clip_count') or '?'} clips of {clips}"
    if setting("data.frames"):
        yield "frames", f"{setting('data.frames')} of each clip"
    if setting("model.loss"):
        yield "loss", in_words(setting("model.loss"))
    elif loss := setting("model.dpo.loss"):
        reference = "the base" if setting("model.reference") == "base" else "the round before"
        yield "loss", f"DPO, {loss}, beta {setting('model.dpo.beta')}, against {reference}"
    if setting("model.lora.r"):
        yield "adapter", f"LoRA, rank {setting('model.lora.r')}"
    if setting("model.pairs") and not run.source:
        yield "pairs by", in_words(setting("model.pairs"))
    if "seed" in facts:
        yield "seed", str(facts["seed"])


def _trained(entries: Sequence[Entry]) -> list[int]:
    return [entry["round"] for entry in entries if entry["round"]]


def _series(entries: Sequence[Entry]) -> dict[str, list[tuple[int, Mapping[str, Any]]]]:
    """(round, measurement) of each benchmark, all comparable with the last."""
    series: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
    for entry in comparable_with_last(entries):
        for name, summary in entry["benchmarks"].items():
            series.setdefault(name, []).append((entry["round"], summary))
    return series


def _benchmark(run: ViewedRun, name: str, points: Sequence[tuple[int, Mapping[str, Any]]]) -> dict[str, Any]:
    kept = ("accuracy", "interval", "by_task", "free_form_accuracy", "malformed", "errors")
    return {
        "name": name,
        "title": BENCHMARKS[name].title if name in BENCHMARKS else name,
        "measured": describe(points[-1][1]),
        "points": [
            {"round": number, "task_intervals": task_intervals(rows_of(run.folder, number, name))}
            | {key: summary[key] for key in kept if key in summary}
            for number, summary in points
        ],
    }


def _held_out(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """What held-out clips say of each round, where no benchmark is needed: savi.alignment.held_out_figures."""
    found = []
    for entry in entries:
        if measured := entry.get("held_out"):
            named = {label: measured[name] for name, label in FIGURES.items() if name in measured}
            kept = {label: {"mean": one["mean"], "interval": one["interval"]} for label, one in named.items()}
            different = {"mean": measured["different"], "interval": None}
            figures = kept | ({"different replies": different} if measured["different"] is not None else {})
            found.append({"round": entry["round"], "clips": measured["clips"], "figures": figures})
    return found


def rows_of(folder: Path, round: int, benchmark: str) -> list[dict[str, Any]]:
    """The rows of a round's evaluation; [] where its file isn't there or is damaged."""
    path = folder / "benchmarks" / f"round_{round:02d}" / f"{benchmark}.jsonl"
    try:
        return [record for _, record in records(path, 0, path.stat().st_size)] if path.is_file() else []
    except SaviError:
        return []


def task_intervals(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[float] | None]:
    """The 95 % interval of each task's accuracy, clustered by video."""
    tasks: defaultdict[str, list[tuple[float, str]]] = defaultdict(list)
    for row in rows:
        if row.get("answer") and row.get("counts") is not False:
            tasks[row["task"]].append((float(row.get("correct") is True), row["video"]))
    found = {}
    for task, answers in tasks.items():
        weights = [1 / len(answers)] * len(answers)
        scores, videos = zip(*answers, strict=True)
        found[task] = clustered_interval(scores, weights, [""] * len(answers), videos)
    return found


def _rewards(run: ViewedRun) -> dict[str, Any] | None:
    """Rewards by optimizer step, and the steps at which a round begins; None where none were logged."""
    logged = [row for row in read_rows(run.folder / METRICS) if all(row.get(name) for name in REWARDS)]
    rows = [row for row in logged if all(math.isfinite(float(row[name])) for name in REWARDS)]
    if lost := len(logged) - len(rows):
        run.problems.append(f"The rewards of {lost} steps aren't drawn: they are not finite.")
    if not rows:
        return None
    size = -(-len(rows) // MOST_POINTS)
    groups = [rows[start : start + size] for start in range(0, len(rows), size)]
    begins = [i for i, row in enumerate(rows) if i and row.get("epoch") != rows[i - 1].get("epoch")]
    return {
        "steps": [int(group[-1]["step"]) for group in groups],
        "begins": [int(rows[i]["step"]) for i in begins],
        **{name.partition("/")[2]: [_mean(float(row[name]) for row in group) for group in groups] for name in REWARDS},
    }


def _mean(values: Iterator[float]) -> float:
    found = list(values)
    return round(sum(found) / len(found), 5)


def _flow(run: ViewedRun, round: int) -> dict[str, Any]:
    """How many questions of a round became pairs, and what took the others."""
    entry = next((one for one in run.entries if one["round"] == round), {})
    progress = run.built.get(round)
    filters = dict(progress.filters if progress else entry.get("filters", {}))
    undecodable = filters.pop("undecodable", 0)
    pairs = progress.pairs if progress else entry.get("pairs", 0)
    return {
        "round": round,
        "pairs": pairs,
        "aspects": {name: count for name, count in (progress.aspects if progress else {}).items() if count},
        "filters": {name: count for name, count in filters.items() if count},
        "questions": pairs + sum(filters.values()),
        "undecodable": undecodable,
        "clips": progress.clips if progress else None,
        "complete": progress.complete if progress else True,
    }


def _readiness(path: Path) -> dict[str, Any] | None:
    try:
        readiness = Readiness(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    line = readiness.line().removeprefix("Readiness: ")
    return {"line": f"{line[:1].upper()}{line[1:]}.", "concerns": readiness.concerns()}


def _warnings(run: ViewedRun) -> Iterator[str]:
    """What somebody who looks at the figures should know, in sentences."""
    yield from run.problems
    for entry in run.entries:
        if text := untrained(entry):
            yield f"{heading(entry).capitalize()} {text}."
    for entry, name in left_out(run.entries):
        place = describe(entry["benchmarks"][name])
        title = BENCHMARKS[name].title if name in BENCHMARKS else name
        yield f"{title}: {heading(entry)} was measured on another set ({place}) and is not drawn."
    for number, progress in run.built.items():
        if progress and (lost := progress.filters.get("undecodable")):
            yield f"Round {number}: {lost} of {progress.clips} clips could not be decoded."
        if progress is None:
            yield f"Round {number}: an older savi built its pairs, and doesn't say whether they are complete."
    for entry in run.entries:
        for name, summary in entry.get("benchmarks", {}).items():
            if "measured_on" not in summary:
                yield f"{heading(entry).capitalize()}, {name}: an older savi doesn't say on which questions."
                return
