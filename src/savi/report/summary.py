"""One page of pictures about a run: what it got right, what it got wrong, and what it learnt from."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from savi.evaluation.benchmarks.registry import BENCHMARKS
from savi.report.labels import (
    INK,
    MUTED,
    PALETTE,
    color_of,
    label_line_ends,
    label_stack,
    shorten,
    style_axes,
)

STAGES = ("building", "training", "evaluating")
"""Of a round, whose seconds make up the run's."""

LINE_STYLES = ("-", "--", ":")
"""For the first nine tasks, the next nine, and the rest."""

REWARDS = {"rewards/margins": "margin", "rewards/chosen": "chosen", "rewards/rejected": "rejected"}


def draw_summary(results: Mapping[str, Any], metrics_csv: Path | None, output: Path) -> None:
    """Write the page as a PNG.

    results: the parsed results.json. metrics_csv: Lightning's, with `step`, `epoch` and the rewards; a run that
    has none, or was never evaluated, gets a page that says so in that panel.
    """
    figure = Figure(figsize=(15.5, 10), dpi=110, facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        2, 2, left=0.05, right=0.815, top=0.85, bottom=0.07, hspace=0.36, wspace=0.68, width_ratios=(1.1, 1)
    )
    rounds = results["rounds"]
    _draw_title(figure, results)
    _draw_accuracy(figure.add_subplot(grid[0, 0]), rounds)
    _draw_errors(figure.add_subplot(grid[0, 1]), rounds)
    _draw_rewards(figure.add_subplot(grid[1, 0]), metrics_csv)
    _draw_pairs(figure.add_subplot(grid[1, 1]), rounds)
    figure.savefig(output)


def _draw_title(figure: Figure, results: Mapping[str, Any]) -> None:
    run, rounds = results["run"], results["rounds"]
    measured = [entry for entry in rounds if "accuracy" in entry]
    title = run["name"]
    facts = [f"base model: {run['base']}", f"seed {run['seed']}"]
    if measured:
        title += f": {_from_to(measured, 'accuracy')} on held-out questions"
        facts.append(f"{measured[0]['items']} questions")
        facts.append(f"malformed replies {_from_to(measured, 'malformed')}")
    seconds = sum(entry.get("seconds", {}).get(stage, 0.0) for entry in rounds for stage in STAGES)
    if seconds:
        facts.append(f"{seconds / 60:.1f} minutes")
    figure.text(0.05, 0.945, title, fontsize=22, fontweight="bold", color=INK)
    figure.text(0.05, 0.915, "  \N{MIDDLE DOT}  ".join(facts), fontsize=11, color=MUTED)


def _from_to(measured: Sequence[Mapping[str, Any]], name: str) -> str:
    """The first and the last share, or the only one."""
    ends = [measured[0], *measured[1:][-1:]]
    return " \N{RIGHTWARDS ARROW} ".join(f"{entry[name]:.1%}" for entry in ends)


def _draw_accuracy(axes: Axes, rounds: Sequence[Mapping[str, Any]]) -> None:
    """Overall in black with its values, tasks in color, named at the right with their change in points."""
    style_axes(axes, "Accuracy by round and task")
    measured = [entry for entry in rounds if "accuracy" in entry]
    tasks = list(dict.fromkeys(task for entry in measured for task in entry["by_task"]))
    lines = {task: _series(measured, "by_task", task) for task in tasks} | _benchmark_lines(rounds)
    if not lines:
        return _say(axes, "not evaluated: the run had no benchmark")
    ends = []
    for index, (task, points) in enumerate(lines.items()):
        color = color_of(index)
        style = LINE_STYLES[index // len(PALETTE) % len(LINE_STYLES)]
        axes.plot(*zip(*points, strict=True), style, color=color, linewidth=1.6, marker="o", markersize=3.5)
        ends.append((points[-1], f"{shorten(task)}  {_gain(points)}", color, "normal"))
    overall = [(entry["round"], entry["accuracy"]) for entry in measured]
    if overall:
        axes.plot(*zip(*overall, strict=True), color=INK, linewidth=3.5, marker="o", markersize=7, zorder=5)
        ends.append((overall[-1], f"overall  {_gain(overall)}", INK, "bold"))
    values = [value for points in [overall, *lines.values()] for _, value in points]
    low, high = min(values), max(values)
    axes.set_ylim(max(-0.02, math.floor(low * 20 - 0.3) / 20), min(1.02, math.ceil(high * 20 + 0.3) / 20))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    _round_ticks(axes, sorted({int(number) for points in lines.values() for number, _ in points}))
    label_line_ends(axes, ends)
    return None


def _benchmark_lines(rounds: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """(round, accuracy) of each benchmark but the world, by its title."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for entry in rounds:
        for name, summary in entry.get("benchmarks", {}).items():
            if summary["accuracy"] is not None:
                lines.setdefault(BENCHMARKS[name].title, []).append((entry["round"], summary["accuracy"]))
    return lines


def _gain(points: Sequence[tuple[float, float]]) -> str:
    """The last accuracy, and how many points above the first it is."""
    change = 100 * (points[-1][1] - points[0][1])
    return f"{points[-1][1]:.0%}" + (f"  ({_signed(change, 0)})" if len(points) > 1 else "")


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _draw_errors(axes: Axes, rounds: Sequence[Mapping[str, Any]]) -> None:
    """Wrong choices, stacked by kind of error; the total above each bar."""
    style_axes(axes, "Errors by kind")
    measured = [entry for entry in rounds if entry.get("errors")]
    if not measured:
        return _say(axes, "no kinds of errors: not evaluated, or the benchmark doesn't name them")
    kinds = list(dict.fromkeys(kind for entry in measured for kind in entry["errors"]))
    stacks = {kind: [entry["errors"].get(kind, 0) for entry in measured] for kind in kinds}
    positions = [entry["round"] for entry in measured]
    label_stack(axes, positions, stacks, [color_of(index) for index in range(len(kinds))])
    _round_ticks(axes, positions)
    return None


def _draw_pairs(axes: Axes, rounds: Sequence[Mapping[str, Any]]) -> None:
    """Questions that became pairs, and above them what each filter took."""
    style_axes(axes, "What became of the questions")
    trained = [entry for entry in rounds if entry["round"]]
    if not trained:
        return _say(axes, "no round was finished")
    # Clips that couldn't be decoded are no questions: they stand in words, not in the bars.
    filters = [
        name for name in dict.fromkeys(name for entry in trained for name in entry["filters"]) if name != "undecodable"
    ]
    stacks = {"pairs": [entry["pairs"] for entry in trained]}
    stacks |= {name: [entry["filters"].get(name, 0) for entry in trained] for name in filters}
    colors = [color_of(0), *(color_of(index, soft=True) for index in range(1, len(filters) + 1))]
    label_stack(axes, [entry["round"] for entry in trained], stacks, colors)
    _round_ticks(axes, [entry["round"] for entry in trained])
    undecodable = max(entry["filters"].get("undecodable", 0) for entry in trained)
    if undecodable:
        axes.set_xlabel(f"round (besides, {undecodable} clips could not be decoded)", color=MUTED)
    return None


def _draw_rewards(axes: Axes, metrics_csv: Path | None) -> None:
    """Rewards of the training pairs over optimiser steps: each step faintly, a running mean on top."""
    style_axes(axes, "Rewards in training")
    rows = _reward_rows(metrics_csv)
    if not rows:
        return _say(axes, "no rewards were logged")
    window = max(1, len(rows) // 15)
    steps = [row["step"] for row in rows]
    ends = []
    for index, (column, name) in enumerate(REWARDS.items()):
        color = (color_of(0), color_of(2), color_of(1))[index]
        values = [row[column] for row in rows]
        smooth = [
            sum(part) / len(part) for part in (values[max(0, i - window + 1) : i + 1] for i in range(len(values)))
        ]
        axes.plot(steps, values, color=color, linewidth=0.8, alpha=0.3)
        axes.plot(steps, smooth, color=color, linewidth=2.2)
        ends.append(
            ((steps[-1], smooth[-1]), f"{name}  {_signed(smooth[-1], 2)}", color, "bold" if index == 0 else "normal")
        )
    axes.axhline(0, color=MUTED, linewidth=0.8, zorder=0)
    for before, after in pairwise(rows):
        if after["epoch"] != before["epoch"]:
            axes.axvline((before["step"] + after["step"]) / 2, color=MUTED, linewidth=0.8, linestyle=":", zorder=0)
    axes.set_xlabel("optimiser step (dotted: a new round begins)", color=MUTED)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    label_line_ends(axes, ends)
    return None


def _reward_rows(metrics_csv: Path | None) -> list[dict[str, float]]:
    """The rows of metrics.csv that hold all rewards: the optimiser steps."""
    if metrics_csv is None or not metrics_csv.is_file():
        return []
    wanted = ("step", "epoch", *REWARDS)
    with metrics_csv.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if all(row.get(name) for name in wanted)]
    return [{name: float(row[name]) for name in wanted} for row in rows]


def _series(rounds: Sequence[Mapping[str, Any]], group: str, name: str) -> list[tuple[float, float]]:
    return [(entry["round"], entry[group][name]) for entry in rounds if name in entry[group]]


def _round_ticks(axes: Axes, rounds: Sequence[int]) -> None:
    axes.set_xticks(rounds, [str(number) if number else "base" for number in rounds])
    axes.set_xlim(min(rounds) - 0.5, max(rounds) + 0.5)
    axes.set_xlabel("round", color=MUTED)


def _say(axes: Axes, why: str) -> None:
    """An empty panel that says why it is."""
    axes.set_axis_off()
    axes.text(0, 0.94, why, va="center", color=MUTED, fontsize=11, transform=axes.transAxes)
