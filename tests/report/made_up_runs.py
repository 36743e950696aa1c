"""results.json and metrics.csv as runs write them, with made-up numbers."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TASKS = ("motion", "order", "change", "shape", "count", "spatial")
KINDS = (
    "factual inaccuracy",
    "temporal ordering",
    "spatial relationship",
    "object hallucination",
    "causal reasoning",
    "detail omission",
)


def measured_on(split: str = "test", clips: int = 120, benchmark: str = "world", **more: Any) -> dict[str, Any]:
    """What a made-up figure was measured on; other sets have other digests."""
    place = {"benchmark": benchmark, "split": split, "items": 3 * clips, "of": 3 * clips, "clips": clips, "frames": 32}
    place |= {"frame_pixels": None, "seed": 0, "wording": None, "scorer": "likelihood", **more}
    return place | {"digest": f"{split}-{clips}"}


def make_results(rounds: int, tasks: Sequence[str] = TASKS, kinds: Sequence[str] = KINDS) -> dict[str, Any]:
    """A run that gains 5 points a round, from 40 % on, and makes a third fewer errors each time."""
    entries = []
    for number in range(rounds + 1):
        by_task = {task: 0.4 + 0.05 * number + 0.01 * (index % 3 - 1) for index, task in enumerate(tasks)}
        world = {
            "accuracy": 0.4 + 0.05 * number,
            "by_task": by_task,
            "errors": {kind: int((60 - 7 * index) * 0.67**number) for index, kind in enumerate(kinds)},
            "items": 360,
            "malformed": 0.02 - 0.002 * number,
            "free_form_accuracy": 0.35 + 0.05 * number,
            "measured_on": measured_on(),
        }
        entry: dict[str, Any] = {
            "round": number,
            "benchmarks": {"world": world},
            "pairs": 0,
            "filters": {},
            "seconds": {"evaluating": 10.0},
        }
        if number:
            taken = {"undecodable": 2, "unparsable": 5, "duplicate question": 120, "unchanged revision": 200 + number}
            entry |= {"pairs": 600 - number, "filters": taken}
            entry["seconds"] = {"building": 30.0, "training": 20.0, "evaluating": 10.0}
        entries.append(entry)
    return {"run": {"name": "demo", "seed": 1, "base": "world"}, "rounds": entries}


def without_benchmark(results: dict[str, Any]) -> dict[str, Any]:
    rounds = [{k: v for k, v in entry.items() if k != "benchmarks"} for entry in results["rounds"] if entry["round"]]
    return {**results, "rounds": rounds}


def with_benchmarks(results: dict[str, Any]) -> dict[str, Any]:
    """The same run, measured on two benchmarks instead of the world."""
    rounds = [dict(entry) for entry in results["rounds"]]
    for entry in rounds:
        accuracy = 0.5 + 0.04 * entry["round"]
        summary = {"accuracy": accuracy, "interval": [accuracy - 0.05, accuracy + 0.05], "unread": 3, "items": 200}
        entry["benchmarks"] = {"mvbench": summary, "egoschema": summary | {"accuracy": None, "interval": None}}
    return {**results, "rounds": rounds}


def as_before(results: dict[str, Any]) -> dict[str, Any]:
    """The same run as an older savi wrote it: the world's figures in the entries, and no word on the set."""
    rounds = []
    for entry in results["rounds"]:
        world = {name: value for name, value in entry["benchmarks"]["world"].items() if name != "measured_on"}
        rounds.append({name: value for name, value in entry.items() if name != "benchmarks"} | world)
    return {**results, "rounds": rounds}


def write_metrics(path: Path, rounds: int, steps: int) -> Path:
    """As Lightning's CSVLogger: a row a step, and one for each evaluation that leaves the other columns empty."""
    names = ["epoch", "step", "loss", "rewards/chosen", "rewards/margins", "rewards/rejected", "val/accuracy"]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerow({"step": 0, "val/accuracy": 0.4})
        for step in range(rounds * steps):
            margin = 0.01 * (step % steps)
            row = {"epoch": step // steps, "step": step, "loss": 0.6, "rewards/chosen": 0.2, "rewards/margins": margin}
            writer.writerow(row | {"rewards/rejected": 0.2 - margin})
            if (step + 1) % steps == 0:
                writer.writerow({"epoch": step // steps, "step": step, "val/accuracy": 0.5})
    return path
