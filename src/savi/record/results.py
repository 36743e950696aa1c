"""What happened in a run, round by round: the entries of results.json, and the same for loggers and the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from savi.critique.builder import BuiltRound
from savi.distributed.collectives import waited
from savi.evaluation.benchmarks.registry import BENCHMARKS
from savi.evaluation.measured import Entry, Summary, keep_comparable, upgrade
from savi.files import write_json
from savi.record.metrics import FIGURES, metric_name


@dataclass
class RunRecord:
    """The entries of a run, the base's first. A round has one, whatever the number of evaluations in it."""

    rounds: list[Entry] = field(default_factory=list)

    def restore(self, rounds: list[Entry]) -> None:
        """Take the entries of a checkpoint, also where an older savi wrote it."""
        self.rounds = [upgrade(entry) for entry in rounds]

    def add_base(
        self, measured: Mapping[str, Summary], evaluating: float, held_out: Mapping[str, Any] = MappingProxyType({})
    ) -> Entry:
        """evaluating: seconds, as all times here. held_out: see savi.alignment.held_out_figures, {} for none."""
        entry: Entry = {"round": 0, "pairs": 0, "filters": {}}
        return self._add(entry, measured, {"evaluating": evaluating}, held_out)

    def add_round(
        self,
        built: BuiltRound,
        filters: Sequence[str],
        round: int,
        steps: tuple[int, int],
        settings: Mapping[str, Any],
        seconds: Mapping[str, float],
        measured: Mapping[str, Summary],
        held_out: Mapping[str, Any] = MappingProxyType({}),
    ) -> Entry:
        """filters: the names that losses are counted under. round: from 1. steps: taken and planned. settings: the
        changeable ones of this start. measured: {} for a round without an evaluation of its own.
        """
        entry: Entry = {
            "round": round,
            "pairs": len(built.pairs),
            "filters": {name: built.counts[name] for name in filters if name in built.counts},
            "steps": {"taken": steps[0], "planned": steps[1]},
            "settings": dict(settings),
        }
        return self._add(entry, measured, seconds, held_out)

    def with_validation(self, measured: Mapping[str, Summary], checkpoint: object, evaluating: float) -> list[Entry]:
        """The entry of one evaluation of a checkpoint, behind the base's if the fit measured the same items."""
        reached = self.rounds[-1] if self.rounds else {"round": 0, "pairs": 0, "filters": {}}
        seconds = {"evaluating": round(evaluating, 1)}
        entry = {**reached, "checkpoint": checkpoint, "benchmarks": measured, "seconds": seconds}
        base = [keep_comparable(one, measured) for one in self.rounds[:1] if one["round"] < entry["round"]]
        return [*(one for one in base if one["benchmarks"]), entry]

    def _add(
        self,
        entry: Entry,
        measured: Mapping[str, Summary],
        seconds: Mapping[str, float],
        held_out: Mapping[str, Any],
    ) -> Entry:
        entry["seconds"] = {name: round(value, 1) for name, value in seconds.items()} | waited()
        if measured:
            entry["benchmarks"] = dict(measured)
        if held_out:
            entry["held_out"] = dict(held_out)
        self.rounds = [*(one for one in self.rounds if one["round"] != entry["round"]), entry]
        return entry


def write_results(folder: Path, run: Mapping[str, Any], rounds: list[Entry]) -> None:
    """Write results.json. run: the name, the seed and the base."""
    write_json(folder / "results.json", {"run": run, "rounds": rounds})


def entry_lines(entry: Entry) -> Iterator[str]:
    """What was measured in an entry, one line per benchmark and one for the held-out clips."""
    name = f"Round {entry['round']}" if entry["round"] else "The base"
    for benchmark, summary in entry.get("benchmarks", {}).items():
        title, right = BENCHMARKS[benchmark].title, summary["accuracy"]
        share = "no public answers" if right is None else f"{100 * right:.1f} % of {summary['counted']} questions right"
        yield f"{name}: {title}: {share}"
    if held_out := entry.get("held_out"):
        shares = [(FIGURES[key], held_out[key]["mean"]) for key in FIGURES if key in held_out]
        told = ", ".join(f"{label} {100 * share:.1f} %" for label, share in shares)
        yield f"{name}: {held_out['clips']} held-out clips: {told}"


def pair_metrics(counts: Mapping[str, int], filters: Sequence[str]) -> dict[str, float]:
    """Metrics of a round's pairs for the loggers. counts: as PairStore.counts. filters: its names of losses."""
    made = {name: float(count) for name, count in counts.items() if name.startswith("pairs/")}
    taken = {metric_name(f"filters/{name}"): float(counts.get(name, 0)) for name in filters}
    return {"pairs/total": float(counts["pairs"]), **made, **taken}


def evaluation_metrics(measured: Mapping[str, Summary], stage: Literal["val", "test"] = "val") -> dict[str, float]:
    """Metrics for the loggers: `val/accuracy` is the first benchmark's, all others are below the benchmark's name."""
    metrics: dict[str, float] = {}
    for name, summary in measured.items():
        shares = {key: summary[key] for key in ("accuracy", "free_form_accuracy", "malformed") if key in summary}
        counts = {"unread": summary["unread"], "fallbacks": summary["fallbacks"]}
        counts |= {f"errors/{kind}": count for kind, count in summary.get("errors", {}).items()}
        values = {**shares, **summary["by_task"], **counts}
        metrics |= {
            metric_name(f"{stage}/{name}/{key}"): float(value) for key, value in values.items() if value is not None
        }
    first = next(iter(measured.values()))["accuracy"]
    return metrics if first is None else {f"{stage}/accuracy": first, **metrics}
