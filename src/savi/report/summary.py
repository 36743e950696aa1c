"""One page of pictures about a run: accuracy, errors, rewards and pairs."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from savi.evaluation.benchmarks.registry import BENCHMARKS
from savi.evaluation.measured import Entry, comparable_with_last, heading, left_out, untrained
from savi.files import replacing
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

    results: as read_results() gives them. metrics_csv: Lightning's, with `step`, `epoch` and the rewards; a run that
    has none, or was never evaluated, gets a page that says so in that panel. Figures that are not comparable with the
    last ones of their benchmark are left out, and the page says so.
    """
    figure = Figure(figsize=(15.5, 10), dpi=110, facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        2, 2, left=0.05, right=0.815, top=0.85, bottom=0.07, hspace=0.36, wspace=0.68, width_ratios=(1.1, 1)
    )
    rounds = results["rounds"]
    series = _series_by_benchmark(rounds)
    _draw_title(figure, results, series)
    _draw_accuracy(figure.add_subplot(grid[0, 0]), series)
    _draw_errors(figure.add_subplot(grid[0, 1]), series)
    _draw_rewards(figure.add_subplot(grid[1, 0]), metrics_csv)
    _draw_pairs(figure.add_subplot(grid[1, 1]), rounds)
    with replacing(output) as unfinished:
        figure.savefig(unfinished, format="png")


Series = list[tuple[int, Mapping[str, Any]]]
"""(round, measurement) of one benchmark, all comparable with each other."""


def _series_by_benchmark(rounds: Sequence[Entry]) -> dict[str, Series]:
    """The comparable measurements of each benchmark that the last evaluation took in."""
    series: dict[str, Series] = {}
    for entry in comparable_with_last(rounds):
        for name, summary in entry["benchmarks"].items():
            series.setdefault(name, []).append((entry["round"], summary))
    return series


def _draw_title(figure: Figure, results: Mapping[str, Any], series: Mapping[str, Series]) -> None:
    run, rounds = results["run"], results["rounds"]
    title = run["name"]
    facts = [f"base model: {run['base']}", f"seed {run['seed']}"]
    if len(series) == 1:
        (points,) = series.values()
        if points[-1][1]["accuracy"] is not None:
            title += f": {_from_to(points, 'accuracy')} on held-out questions"
        facts.append(f"{points[-1][1]['items']} questions")
        if "malformed" in points[-1][1]:
            facts.append(f"malformed replies {_from_to(points, 'malformed')}")
    seconds = sum(entry.get("seconds", {}).get(stage, 0.0) for entry in rounds for stage in STAGES)
    if seconds:
        facts.append(f"{seconds / 60:.1f} minutes")
    notes = [f"{heading(entry)} {text}" for entry in rounds if (text := untrained(entry))]
    if others := dict.fromkeys(heading(entry) for entry, _ in left_out(rounds)):
        notes.append(f"measured on another set and not drawn: {', '.join(others)}")
    figure.text(0.05, 0.945, title, fontsize=22, fontweight="bold", color=INK)
    figure.text(0.05, 0.92, "  \N{MIDDLE DOT}  ".join(facts), fontsize=11, color=MUTED)
    if notes:
        figure.text(0.05, 0.897, "  \N{MIDDLE DOT}  ".join(notes), fontsize=11, color=MUTED)


def _from_to(points: Series, name: str) -> str:
    """The first and the last share, or the only one."""
    ends = [points[0], *points[1:][-1:]]
    return " \N{RIGHTWARDS ARROW} ".join(f"{summary[name]:.1%}" for _, summary in ends)


def _draw_accuracy(axes: Axes, series: Mapping[str, Series]) -> None:
    """One benchmark: overall in black with its values, tasks in color. Several: one line for each, in color.

    Lines are named at the right with their change in points.
    """
    single = next(iter(series.values())) if len(series) == 1 else []
    style_axes(axes, "Accuracy by round and task" if single else "Accuracy by round and benchmark")
    overall = {name: _points((number, summary["accuracy"]) for number, summary in s) for name, s in series.items()}
    lines = {BENCHMARKS[name].title: points for name, points in overall.items() if points and not single}
    for task in dict.fromkeys(task for _, summary in single for task in summary["by_task"]):
        lines[task] = _points((number, summary["by_task"].get(task)) for number, summary in single)
    if not any(overall.values()):
        return _say(axes, "not evaluated: the run had no benchmark")
    ends = []
    for index, (task, points) in enumerate(lines.items()):
        color = color_of(index)
        style = LINE_STYLES[index // len(PALETTE) % len(LINE_STYLES)]
        axes.plot(*zip(*points, strict=True), style, color=color, linewidth=1.6, marker="o", markersize=3.5)
        ends.append((points[-1], f"{shorten(task)}  {_gain(points)}", color, "normal"))
    for points in overall.values() if single else ():
        axes.plot(*zip(*points, strict=True), color=INK, linewidth=3.5, marker="o", markersize=7, zorder=5)
        ends.append((points[-1], f"overall  {_gain(points)}", INK, "bold"))
    drawn = [*overall.values(), *lines.values()]
    values = [value for points in drawn for _, value in points]
    low, high = min(values), max(values)
    axes.set_ylim(max(-0.02, math.floor(low * 20 - 0.3) / 20), min(1.02, math.ceil(high * 20 + 0.3) / 20))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0%}"))
    _round_ticks(axes, sorted({int(number) for points in drawn for number, _ in points}))
    label_line_ends(axes, ends)
    return None


def _points(values: Iterable[tuple[int, float | None]]) -> list[tuple[float, float]]:
    """(round, share) where there is one."""
    return [(number, value) for number, value in values if value is not None]


def _gain(points: Sequence[tuple[float, float]]) -> str:
    """The last accuracy, and how many points above the first it is."""
    change = 100 * (points[-1][1] - points[0][1])
    return f"{points[-1][1]:.0%}" + (f"  ({_signed(change, 0)})" if len(points) > 1 else "")


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _draw_errors(axes: Axes, series: Mapping[str, Series]) -> None:
    """Wrong choices, stacked by kind of error; the total above each bar."""
    style_axes(axes, "Errors by kind")
    named = ([(number, one["errors"]) for number, one in points if one.get("errors")] for points in series.values())
    measured = next((errors for errors in named if errors), None)
    if measured is None:
        return _say(axes, "no kinds of errors: not evaluated, or the benchmark doesn't name them")
    kinds = list(dict.fromkeys(kind for _, errors in measured for kind in errors))
    stacks = {kind: [errors.get(kind, 0) for _, errors in measured] for kind in kinds}
    positions = [number for number, _ in measured]
    label_stack(axes, positions, stacks, [color_of(index) for index in range(len(kinds))])
    _round_ticks(axes, positions)
    return None


def _draw_pairs(axes: Axes, rounds: Sequence[Entry]) -> None:
    """Questions that became pairs, and above them what each filter took."""
    style_axes(axes, "What became of the questions")
    trained = [entry for entry in rounds if entry["round"]]
    if not trained:
        return _say(axes, "no round was finished")
    # Clips that couldn't be decoded are no questions: they are named in words, not in the bars.
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
        axes.set_xlabel(f"round ({undecodable} clips could not be decoded)", color=MUTED)
    return None


def _draw_rewards(axes: Axes, metrics_csv: Path | None) -> None:
    """Rewards of the training pairs over optimizer steps: each step faintly, a running mean on top."""
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
    axes.set_xlabel("optimizer step (dotted: a new round begins)", color=MUTED)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    label_line_ends(axes, ends)
    return None


def _reward_rows(metrics_csv: Path | None) -> list[dict[str, float]]:
    """The rows of metrics.csv that hold all rewards: the optimizer steps."""
    if metrics_csv is None or not metrics_csv.is_file():
        return []
    wanted = ("step", "epoch", *REWARDS)
    with metrics_csv.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if all(row.get(name) for name in wanted)]
    return [{name: float(row[name]) for name in wanted} for row in rows]


def _round_ticks(axes: Axes, rounds: Sequence[int]) -> None:
    axes.set_xticks(rounds, [str(number) if number else "base" for number in rounds])
    axes.set_xlim(min(rounds) - 0.5, max(rounds) + 0.5)
    axes.set_xlabel("round", color=MUTED)


def _say(axes: Axes, why: str) -> None:
    """An empty panel that says why it is."""
    axes.set_axis_off()
    axes.text(0, 0.94, why, va="center", color=MUTED, fontsize=11, transform=axes.transAxes)
