"""The page's section on bases with a real language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from savi.critique.filters import FILTERS
from tools.paper.layout import command, prose, section
from tools.paper.numbers import Run, Study, by_base, estimate, of_runs, show
from tools.paper.plan import NATURAL, NATURAL_METHODS
from tools.paper.published import NAMES
from tools.paper.tables import table

METHOD = NATURAL_METHODS[0]
ON_THE_WEAK_PRIOR = (
    " `natural-weak` was taught on with a fifth of the prior: there is little to distrust, and as much to see."
)


def natural_section(study: Study) -> str:
    """Empty where no run on such a base is finished."""
    runs = {name: study.runs(name, NATURAL) for name in NATURAL_METHODS}
    own = runs[METHOD]
    if not own:
        return ""
    return section(
        "## In natural language",
        prose(
            "Does it hold for a real language model that speaks English? The base is SmolLM2-135M-Instruct behind "
            "small eyes; [its page](natural.md) says how it was taught, and its card what it knows. The clips are of "
            "the same world. Questions and answers are whole sentences, in several phrasings. Filters and prompts are "
            "those of `experiments/natural.yaml`. The methods are compared after one round; VideoSAVi makes a "
            "second one. The spread of runs is in brackets.",
        ),
        _methods(runs),
        command(study, NATURAL_METHODS, kinds=(NATURAL,)),
        "### Seeing, or distrust of the prior",
        prose(
            "A model that stops giving its favorite answers gains where they are wrong and loses where they are right. "
            "One that sees gains in both. The table splits the questions by the favorite answer of the base's prior."
            + (ON_THE_WEAK_PRIOR if {run.base for run in own} > {NATURAL} else ""),
        ),
        _by_prior({name: _after_first(of_name) for name, of_name in runs.items()}),
        "### What the pairs say",
        prose(
            "How often is a response right in the pairs of the first round, of those whose question is one of the "
            "world's? And what became of all questions, as a mean over the runs?",
        ),
        _pairs(own),
        _filters(own),
        "### Chains, word for word",
        prose(
            "Of the first run's first round: the first four that became pairs, the first two whose revision is "
            "wrong, and the first one that each filter took. They were not picked. A truth is given where the question "
            "is one of the world's.",
        ),
        _examples(study),
    )


def _after_first(runs: Sequence[Run]) -> list[Run]:
    """The runs as they were after their first round."""
    return [replace(run, rounds=run.rounds[:2]) for run in runs]


def _methods(runs: dict[str, list[Run]]) -> str:
    header = ["base", "", "experiment", "runs", "accuracy by round"]
    rows = [[*header, "gain in one round", "in its own words", "VideoSAVi minus it", "malformed"]]
    gains = {run.key: run.gain for run in _after_first(runs[METHOD])}
    for name, of_name in runs.items():
        for base, own in by_base(of_name).items():
            rounds = min(len(run.rounds) for run in own)
            path = [fmean(run.rounds[at]["accuracy"] for run in own) for at in range(rounds)]
            first = _after_first(own)
            less = [(run.base, gains[run.key] - run.gain) for run in first if run.key in gains and name != METHOD]
            rows.append(
                [
                    f"`{base}`",
                    NAMES[name.removeprefix("natural_")],
                    f"`{name}`",
                    str(len(own)),
                    " → ".join(f"{100 * step:.1f}" for step in path),
                    show(of_runs(first, lambda run: run.gain), signed=True),
                    show(of_runs(first, lambda run: run.gain_in_own_words), signed=True),
                    show(estimate(less), signed=True),
                    show(of_runs(first, lambda run: run.last["malformed"])),
                ]
            )
    return table(rows)


def _by_prior(runs: dict[str, list[Run]]) -> str:
    header = ["base", "experiment", "questions", "favorite wrong: before", "after", "favorite right: before", "after"]
    rows = [header]
    for name, of_name in runs.items():
        for base, own in by_base(of_name).items():
            cells = [
                show(estimate((run.base, _right(entry, favored)) for run, entry in pairs))
                for favored in (False, True)
                for pairs in ([(run, run.before) for run in own], [(run, run.last) for run in own])
            ]
            prior = own[0].before["prior"]
            questions = f"{prior['adversarial']} + {prior['agreeing']}"
            rows.append([f"`{base}`", f"`{name}`", questions, *cells])
    return table(rows)


def _right(entry: dict[str, Any], favored: bool) -> float | None:
    """Share of right answers where the favorite is right, or where it is wrong; None without such a question."""
    prior = entry["prior"]
    asked, right = (prior["agreeing"], prior["agreeing_right"]) if favored else (prior["adversarial"], prior["right"])
    return right / asked if asked else None


def _pairs(own: Sequence[Run]) -> str:
    rows = [["base", "answerable pairs", "chosen right", "rejected right"]]
    for base, runs in by_base(own).items():
        sides = [show(estimate((run.base, run.right(side)) for run in runs)) for side in ("chosen", "rejected")]
        rows.append([f"`{base}`", f"{fmean(run.first_pairs['answerable'] for run in runs):.0f}", *sides])
    return table(rows)


def _filters(own: Sequence[Run]) -> str:
    """Questions of each round by what took them."""
    rows = [["base", "round", "questions", "pairs", *(there := _that_took(own))]]
    for base, runs in by_base(own).items():
        for number in range(1, min(len(run.rounds) for run in runs)):
            entries = [run.rounds[number] for run in runs]
            taken = [fmean(entry["filters"].get(name, 0) for entry in entries) for name in there]
            pairs = fmean(entry["pairs"] for entry in entries)
            rows.append([f"`{base}`", str(number), *(f"{count:.0f}" for count in (pairs + sum(taken), pairs, *taken))])
    return table(rows)


def _that_took(own: Sequence[Run]) -> list[str]:
    counted = [entry["filters"] for run in own for entry in run.rounds if "filters" in entry]
    return [name for name in FILTERS if any(filters.get(name) for filters in counted)]


def _examples(study: Study) -> str:
    row = next(row for row in study.rows if row["experiment"] == METHOD and "examples" in row)
    rows = [["outcome", "question (truth)", "answer", "critique", "revision"]]
    for one in row["examples"]:
        asked = one.get("question", "") + (f" ({one['truth']})" if one["truth"] else "")
        texts = [asked, *(one.get(turn, "") for turn in ("answer", "critique", "revision"))]
        rows.append([one["outcome"], *(text.replace("|", "\\|").replace("\n", " ") for text in texts)])
    return table(rows)
