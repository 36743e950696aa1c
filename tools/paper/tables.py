"""The page's tables."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from savi.world.questions import KINDS
from tools.paper import published
from tools.paper.claims import SET_NAMES, claims, fall, right_where_prior_is_wrong
from tools.paper.numbers import Run, Study, by_base, estimate, of_pairs, of_runs, say, show
from tools.paper.plan import CONTROLS, CRITICS, FILTERED, GENERALISING, GUARDS, METHODS, OTHERS, SETS
from tools.paper.published import NAMES

ERRORS = ("errors driven by the prior", "other errors")


def table(rows: Sequence[Sequence[str]]) -> str:
    """As Markdown; the first row is the heading."""
    heading, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([heading, "|" + "---|" * len(rows[0]), *body])


def bases(study: Study) -> str:
    """Each base before and after, with the spread of its runs."""
    heading = ["base", "parameters", "runs", "greedy right", "after revision", "before", "after", "gain"]
    rows = [[*heading, "critic's advantage"]]
    for name, runs in by_base([run for run in study.all if run.experiment == "videosavi"]).items():
        base, card = study.bases[name], study.bases[name]["card"]
        shares = [f"{100 * card[key]:.1f}" for key in ("greedy", "greedy_revised")]
        gain = show(of_runs(runs, lambda run: run.gain), signed=True)
        before, after = _before_and_after(runs)
        advantage = show(of_runs(runs, lambda run: run.advantage), signed=True)
        size = f"{base['parameters'] / 1e6:.1f} M"
        rows.append([f"`{name}`", size, str(len(runs)), *shares, before, after, gain, advantage])
    return table(rows)


def methods(study: Study, experiments: Sequence[str], by_kind: bool = False) -> str:
    """Accuracy, gain over the base, difference to VideoSAVi, malformed replies; one row per experiment."""
    kinds = list(KINDS) if by_kind else []
    published_too = by_kind and bool(published.MAIN.keys() & set(experiments))
    paper = ["paper's gain"] if published_too else []
    heading = ["", "experiment", "runs", "accuracy", "over its base", "less VideoSAVi", "gain in its own words"]
    rows = [[*heading, *paper, *kinds, "malformed"]]
    if by_kind and (runs := study.runs("videosavi")):
        cells = [show(estimate((run.base, run.before["by_task"][kind]) for run in runs)) for kind in kinds]
        accuracy, malformed = (
            show(estimate((run.base, run.before[key]) for run in runs)) for key in ("accuracy", "malformed")
        )
        count = str(len(by_base(runs)))
        rows.append(["base", "", count, accuracy, "", "", "", *("" for _ in paper), *cells, malformed])
    for name in experiments:
        runs = study.runs(name)
        less = "" if name == "videosavi" else show(of_pairs(study.paired(name, "videosavi")), signed=True)
        gain = [_published_gain(name)] if published_too else []
        kinds_right = [show(estimate((run.base, run.last["by_task"][kind]) for run in runs)) for kind in kinds]
        accuracy, malformed = (
            show(estimate((run.base, run.last[key]) for run in runs)) for key in ("accuracy", "malformed")
        )
        over_base = show(of_runs(runs, lambda run: run.gain), signed=True)
        own_words = show(of_runs(runs, lambda run: run.gain_in_own_words), signed=True)
        cells = [accuracy, over_base, less, own_words, *gain, *kinds_right, malformed]
        rows.append([NAMES[name], f"`{name}`", str(len(runs)), *cells])
    return table(rows)


def _published_gain(name: str) -> str:
    return f"{published.mean_of(name) - published.mean_of('base'):+.1f}" if name in published.MAIN else ""


def filtered(study: Study) -> str:
    """Experiments with today's filters next to those with the earlier ones: the same base, the same seeds."""
    both = ("accuracy", "pairs in all rounds", "malformed")
    heading = ["", "experiment", "runs", *(f"{name}, {filters}" for name in both for filters in ("earlier", "today"))]
    rows = [[*heading, "today less earlier"]]
    for name in FILTERED:
        runs, method = study.runs(name), name.removeprefix("filtered_")
        keys = {run.key for run in runs}
        earlier = [run for run in study.runs(method) if run.key in keys]
        cells = [
            show(of_runs(group, value), scale=scale)
            for value, scale in (
                (lambda run: run.last["accuracy"], 100),
                (lambda run: float(sum(entry["pairs"] for entry in run.rounds)), 1),
                (lambda run: run.last["malformed"], 100),
            )
            for group in (earlier, runs)
        ]
        difference = show(of_pairs(study.paired(name, method)), signed=True)
        rows.append([NAMES[method], f"`{name}`", str(len(runs)), *cells, difference])
    return table(rows)


def errors(runs: Sequence[Run]) -> str:
    """Errors by kind, mean counts over runs, a column a round; and those that the language prior caused."""
    length = min((len(run.rounds) for run in runs), default=1)
    rounds = ["base", *(f"round {index}" for index in range(1, length))]
    names = [name for name in published.ERRORS if name != "total"]
    counted = {
        name: [[run.rounds[at]["errors"].get(name, 0) for at in range(length)] for run in runs] for name in names
    }
    counted["total"] = [[sum(run.rounds[at]["errors"].values()) for at in range(length)] for run in runs]
    counted["driven by the language prior"] = [
        [run.rounds[at]["prior"]["driven"] for at in range(length)] for run in runs
    ]
    rows = [["errors", *rounds, "fall (%)", "paper, rounds 1 to 4", "paper's fall (%)"]]
    for name, counts in counted.items():
        means = [
            show(estimate((run.base, of_run[at]) for run, of_run in zip(runs, counts, strict=True)), scale=1)
            for at in range(length)
        ]
        falls = estimate(
            (run.base, 1 - of_run[-1] / of_run[0]) for run, of_run in zip(runs, counts, strict=True) if of_run[0]
        )
        paper = published.ERRORS.get(name, ())
        share = f"{100 * (1 - paper[-1] / paper[0]):.0f}" if paper else ""
        rows.append([name, *means, show(falls), ", ".join(str(count) for count in paper), share])
    return table(rows)


def pairs(study: Study) -> str:
    """How often the base's own pairs are right, and which errors are left after learning from them and their like."""
    rows = [["", "experiment", "runs", "chosen right", "rejected right", *ERRORS, "over its base"]]
    if own := study.runs("videosavi"):
        left = _errors_left([(run.base, run.before) for run in own])
        rows.append(["base", "", str(len(by_base(own))), "", "", *left, ""])
    for name in (*METHODS, *CONTROLS, *CRITICS):
        runs = study.runs(name)
        sides = [show(estimate((run.base, run.right(side)) for run in runs)) for side in ("chosen", "rejected")]
        gain = show(of_runs(runs, lambda run: run.gain), signed=True)
        rows.append(
            [NAMES[name], f"`{name}`", str(len(runs)), *sides, *_errors_left([(r.base, r.last) for r in runs]), gain]
        )
    return table(rows)


def errors_by_cause(entry: dict[str, Any]) -> tuple[int, int]:
    """A round's errors that the language prior drives, and the others."""
    driven = entry["prior"]["driven"]
    return driven, sum(entry["errors"].values()) - driven


def _errors_left(entries: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    """Of rounds, each with its base's name."""
    counts = [(base, errors_by_cause(entry)) for base, entry in entries]
    return [show(estimate((base, pair[at]) for base, pair in counts), scale=1) for at in (0, 1)]


def prior_fall(runs: Sequence[Run]) -> str:
    """By how much the errors that the language prior drives fell, and all errors."""
    driven = [(run.base, *(entry["prior"]["driven"] for entry in (run.before, run.last))) for run in runs]
    of_prior = say(estimate((base, 1 - after / before) for base, before, after in driven if before))
    return f"Errors driven by the prior fall by {of_prior} %, all errors by {say(of_runs(runs, fall))} %."


def generalisation(study: Study) -> str:
    """Accuracy on every held-out set, and the paper's three with it."""
    names = [*reversed(GENERALISING), "base"]
    rows = [["set", *(NAMES[name] for name in names), "paper: VideoSAVi / TPO / Hound-DPO"]]
    own = study.runs("videosavi")
    for name, paper in published.SETS.items():
        if name in SETS:
            cells = [show(of_pairs(study.on_set(experiment, name))) for experiment in names]
        else:
            right = _accuracy if name == "test" else right_where_prior_is_wrong
            last = [
                show(estimate((run.base, right(run.last)) for run in study.runs(experiment)))
                for experiment in names[:-1]
            ]
            cells = [*last, show(estimate((run.base, right(run.before)) for run in own))]
        text = f"`{name}`: {SET_NAMES[name]}" if name in SET_NAMES else f"`{name}`"
        rows.append([text, *cells, " / ".join(str(value) for value in paper)])
    return table(rows)


def sizes(study: Study) -> str:
    """VideoSAVi on three sizes of the miniature, and on the paper's."""
    rows = [["size", "parameters", "runs", "before", "after", "gain", "malformed"]]
    for kind, name in (("small", "small"), ("main", "medium"), ("large", "large")):
        runs = study.runs("videosavi", kind)
        counts = sorted({study.bases[run.base]["parameters"] for run in runs})
        gain = show(of_runs(runs, lambda run: run.gain), signed=True)
        malformed = show(of_runs(runs, lambda run: run.last["malformed"]))
        size = ", ".join(f"{count / 1e6:.1f} M" for count in counts) or "-"
        rows.append([name, size, str(len(runs)), *_before_and_after(runs), gain, malformed])
    for name, (before, after) in published.SIZES.items():
        first, last = fmean(before), fmean(after)
        rows.append([f"paper, {name}", name, "1", f"{first:.1f}", f"{last:.1f}", f"{last - first:+.1f}", ""])
    return table(rows)


def guards(study: Study) -> str:
    """What keeps a run from collapsing where the critic is weak."""
    rows = [["", "experiment", "runs", "gain", "malformed", "most malformed in between", "accuracy by round"]]
    for name in ("videosavi", *GUARDS):
        runs = study.runs(name, "weak")
        length = min((len(run.rounds) for run in runs), default=0)
        path = [estimate((run.base, run.rounds[at]["accuracy"]) for run in runs) for at in range(length)]
        most = of_runs(runs, lambda run: max(entry["malformed"] for entry in run.rounds[1:]))
        steps = " → ".join(f"{100 * step.mean:.1f}" for step in path if step) or "-"
        label = "as in the study" if name == "videosavi" else NAMES[name]
        gain = show(of_runs(runs, lambda run: run.gain), signed=True)
        malformed = show(of_runs(runs, lambda run: run.last["malformed"]))
        rows.append([label, f"`{name}`", str(len(runs)), gain, malformed, show(most), steps])
    return table(rows)


def readiness(study: Study) -> str:
    """What was measured before training, and what came of it: of every critic, and on every kind of base."""
    keys = ("malformed", "changed", "agrees_with_itself", "agrees_from_another", "greedy", "revised")
    heading = [*(key.replace("_", " ") for key in keys), "advantage", "warned of", "without labels", "gain"]
    rows = [["", "bases", "runs", *heading, "malformed at the end"]]
    critics = ("videosavi", *CONTROLS, *CRITICS)
    groups = [(experiment, "main") for experiment in critics] + [("videosavi", kind) for kind in OTHERS]
    for experiment, kind in groups:
        runs = [run for run in study.runs(experiment, kind) if run.readiness]
        if not runs:
            continue
        cells = [show(estimate((run.base, (run.readiness or {}).get(key)) for run in runs)) for key in keys]
        advantage = show(of_runs(runs, lambda run: run.advantage), signed=True)
        gain = show(of_runs(runs, lambda run: run.gain), signed=True)
        warned = [str(sum(bool(run.concerns(labels)) for run in runs)) for labels in (True, False)]
        malformed = show(of_runs(runs, lambda run: run.last["malformed"]))
        rows.append([NAMES[experiment], kind, str(len(runs)), *cells, advantage, *warned, gain, malformed])
    return table(rows)


def checks(study: Study) -> str:
    """The paper's claims, and what is found here."""
    rows = [["the paper's claim", "difference here", "each base", "runs", "difference in the paper", "verdict"]]
    for claim in claims(study):
        paper = "" if claim.paper is None else f"{claim.paper:+.1f}"
        each = ", ".join(f"{100 * mean:+.1f}" for mean in claim.bases)
        runs = str(len(claim.differences))
        rows.append([claim.text, show(claim.ours, signed=True), each, runs, paper, f"**{claim.verdict}**"])
    return table(rows)


def _before_and_after(runs: Sequence[Run]) -> list[str]:
    """Accuracy of the base and after the last round."""
    return [show(estimate((run.base, _accuracy(run.rounds[at])) for run in runs)) for at in (0, -1)]


def _accuracy(entry: dict[str, Any]) -> float:
    accuracy: float = entry["accuracy"]
    return accuracy
