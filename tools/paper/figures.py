"""The study's figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from savi.critique.readiness import LEAST_ADVANTAGE
from tools.paper.numbers import Run, Study, estimate, of_pairs
from tools.paper.plan import CONTROLS, CRITICS, METHODS
from tools.paper.published import NAMES

MARKERS = "os^Dvph*X<>"
CRITICISED = ("videosavi", *CONTROLS, *CRITICS)
"""Experiments that differ in who criticizes, or in what is made of it."""

SETTINGS: Mapping[str, Mapping[str, str]] = {
    "β (1)": {"beta_0.1": "0.1", "beta_0.3": "0.3", "videosavi": "1", "beta_3.0": "3"},
    "NLL weight (0)": {"videosavi": "0", "nll_0.3": "0.3", "nll_1.0": "1"},
    "clips (320)": {"clips_80": "80", "clips_160": "160", "videosavi": "320"},
    "reference (the base)": {"videosavi": "base", "previous": "round before"},
    "implausible filter (on)": {"videosavi": "on", "unfiltered": "off"},
}
"""What decides: one panel each; the study's own setting is in brackets."""


def draw(study: Study, folder: Path) -> dict[str, str]:
    """Every figure that has a point in it; captions by file name."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {}
    if any(study.runs(name) for name in (*METHODS, *CONTROLS)):
        _rounds(study, folder / "rounds.png")
        drawn["rounds.png"] = (
            "Accuracy by round; SFT is one round of about as many steps as four. Bands: 95 % over the means of the "
            "bases"
        )
    shown = [run for run in study.all if run.advantage is not None and run.experiment in CRITICISED]
    if shown:
        _critic(shown, folder / "critic.png")
        drawn["critic.png"] = (
            "The gain of each run against the advantage of its critic: right answers after revision less right greedy "
            f"answers, on labelled questions before training. Dotted: {100 * LEAST_ADVANTAGE:.0f} points, below which "
            "savi warns. Random direction and two initial samples don't follow their critic"
        )
    if longer := study.runs("rounds_6"):
        figure, (axes,) = _figure(1, 5.5)
        there = {(run.base, run.seed) for run in longer}
        four = [run for run in study.runs("videosavi") if (run.base, run.seed) in there]
        _lines(axes, {"six rounds": longer, "VideoSAVi, four rounds": four})
        _save(figure, folder / "six_rounds.png")
        drawn["six_rounds.png"] = "Six rounds and four, of the same bases and seeds"
    if any(study.runs(name) for panel in SETTINGS.values() for name in panel if name != "videosavi"):
        _deciding(study, folder / "deciding.png")
        drawn["deciding.png"] = (
            "Accuracy by setting, less VideoSAVi's on the same base and seed. Bars: 95 % over the means of the bases"
        )
    return drawn


def _rounds(study: Study, path: Path) -> None:
    figure, panels = _figure(2, 11)
    for axes, title, names in zip(
        panels, ("methods", "controls"), (METHODS[::-1], ("videosavi", *CONTROLS)), strict=True
    ):
        _lines(axes, {NAMES[name]: study.runs(name) for name in names if study.runs(name)})
        axes.set_title(title, fontsize="medium")
    _one_scale(panels)
    _save(figure, path)


def _lines(axes: Axes, groups: Mapping[str, Sequence[Run]]) -> None:
    """Mean accuracy by round, with the wider 95 % interval as a band; no band for a single base."""
    for index, (label, runs) in enumerate(groups.items()):
        length = min((len(run.rounds) for run in runs), default=0)
        means = [estimate((run.base, 100 * run.rounds[at]["accuracy"]) for run in runs) for at in range(length)]
        middle, half = [one.mean for one in means if one], [one.half or 0.0 for one in means if one]
        if not middle:
            continue
        axes.plot(range(length), middle, marker=MARKERS[index], markersize=5, label=label, color=f"C{index}")
        low, high = ([m + sign * h for m, h in zip(middle, half, strict=True)] for sign in (-1, 1))
        axes.fill_between(range(length), low, high, alpha=0.12, color=f"C{index}", linewidth=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("round (0: the base)")
    axes.set_ylabel("held-out accuracy (%)")


def _critic(runs: Sequence[Run], path: Path) -> None:
    figure, (axes,) = _figure(1, 9, 5)
    experiments = list(dict.fromkeys(run.experiment for run in runs))
    bases = list(dict.fromkeys(run.base for run in runs))
    for run in runs:
        color = f"C{experiments.index(run.experiment)}"
        at = [100 * (run.advantage or 0.0)], [100 * run.gain]
        axes.scatter(*at, color=color, marker=MARKERS[bases.index(run.base) % len(MARKERS)], s=28, alpha=0.8)
    for index, name in enumerate(experiments):
        axes.scatter([], [], color=f"C{index}", marker="o", label=NAMES[name])
    for index, name in enumerate(bases):
        axes.scatter(
            [],
            [],
            color="0.3",
            marker=MARKERS[index % len(MARKERS)],
            label="shipped base" if name == "world" else f"base {name}",
        )
    axes.axvline(100 * LEAST_ADVANTAGE, color="0.5", linestyle=":")
    axes.axhline(0, color="0.8", linewidth=0.8)
    axes.set_xlabel("critic's advantage (points): right after revision less right before")
    axes.set_ylabel("gain after the last round (points)")
    _save(figure, path, beside=True)


def _deciding(study: Study, path: Path) -> None:
    figure, panels = _figure(len(SETTINGS), 13, 3.2)
    for axes, (title, names) in zip(panels, SETTINGS.items(), strict=True):
        axes.axhline(0, color="C1", linestyle="--", linewidth=1)
        for at, name in enumerate(names):
            if less := of_pairs(study.paired(name, "videosavi")):
                axes.errorbar(at, 100 * less.mean, yerr=100 * (less.half or 0.0), fmt="o", color="C0", capsize=3)
        axes.set_xticks(range(len(names)), list(names.values()))
        axes.set_xlim(-0.5, len(names) - 0.5)
        axes.set_xlabel(title)
    panels[0].set_ylabel("accuracy less VideoSAVi's (points)")
    _one_scale(panels)
    _save(figure, path)


def _one_scale(panels: Sequence[Axes]) -> None:
    low, high = min(axes.get_ylim()[0] for axes in panels), max(axes.get_ylim()[1] for axes in panels)
    for axes in panels:
        axes.set_ylim(low, high)


def _figure(panels: int, width: float, height: float = 4.2) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, [figure.add_subplot(1, panels, index + 1) for index in range(panels)]


def _save(figure: Figure, path: Path, beside: bool = False) -> None:
    """beside: the legend is to the right of the axes, otherwise below them."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            right: dict[str, Any] = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
            below: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.15), "ncols": 2}
            place = right if beside else below
            axes.legend(fontsize="small", frameon=False, **place)
    figure.savefig(path, dpi=120, metadata={"Software": None})
