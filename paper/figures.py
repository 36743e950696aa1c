"""The study's figures, from result files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from paper.numbers import Reached, advantage, estimate


def draw_rounds(found: Mapping[str, Sequence[Reached]], experiments: Sequence[str], path: Path) -> None:
    """Mean accuracy by round, with the 95 % interval over runs as a band."""
    figure, axes = _figure()
    for index, name in enumerate(name for name in experiments if found.get(name)):
        runs = found[name]
        rounds = range(min(len(run.rounds) for run in runs))
        means = [estimate([100 * run.rounds[at]["accuracy"] for run in runs]) for at in rounds]
        middle, half = [m.mean for m in means if m], [m.half or 0.0 for m in means if m]
        axes.plot(rounds, middle, marker="o", label=name, color=f"C{index}")
        low, high = ([m + sign * h for m, h in zip(middle, half, strict=True)] for sign in (-1, 1))
        axes.fill_between(rounds, low, high, alpha=0.12, color=f"C{index}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("round")
    axes.set_ylabel("accuracy (%)")
    _save(figure, axes, path)


def draw_critic(runs: Sequence[Reached], path: Path) -> None:
    """Gain of each run against its base's advantage of revising."""
    figure, axes = _figure()
    for base in dict.fromkeys(run.fit.base for run in runs):
        own = [run for run in runs if run.fit.base == base]
        axes.scatter([100 * advantage(run.fit) for run in own], [100 * run.gain for run in own], label=base.name)
    axes.set_xlabel("right after revision less right when sampled (points, base's card)")
    axes.set_ylabel("gain (points)")
    _save(figure, axes, path)


def draw_deciding(found: Mapping[str, Sequence[Reached]], experiments: Sequence[str], path: Path) -> None:
    """Gain by setting, with the 95 % interval over runs."""
    figure, axes = _figure()
    there = [name for name in experiments if found.get(name)]
    for at, name in enumerate(there):
        gain = estimate([100 * run.gain for run in found[name]])
        if gain:
            axes.errorbar(gain.mean, at, xerr=gain.half or 0.0, fmt="o", color="C0", capsize=3)
    axes.set_yticks(range(len(there)), there)
    axes.set_xlabel("gain (points)")
    _save(figure, axes, path)


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _save(figure: Figure, axes: Axes, path: Path) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small", frameon=False)
    figure.savefig(path, dpi=120, metadata={"Software": None})
