"""docs/paper.md: tables and figures from result files alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from paper.figures import draw_critic, draw_deciding, draw_rounds
from paper.numbers import Estimate, Reached, advantage, estimate, read_fits, read_measurements, show
from paper.plan import CONTROLS, CRITICS, DECIDING, GENERALISING, METHODS, SETS, Fit, Measurement
from savi.world.questions import KINDS

NAMES = {
    "sft": "SFT on revised answers",
    "sft_plus": "SFT⁺ (in rounds)",
    "hound_dpo": "Hound-DPO (judge without the clip)",
    "tpo": "TPO (temporal pairs only)",
    "videosavi": "**VideoSAVi**",
    "control_random": "random direction",
    "control_samples": "two initial samples",
    "control_shuffled": "critiques shuffled between clips",
    "control_other_clip": "critic sees another clip",
    "critic_text": "text alone",
    "critic_another": "another base",
    "critic_truth": "the truth (ceiling)",
}
PAPER_ERRORS = {
    "factual inaccuracy": (45, 12),
    "temporal ordering": (38, 8),
    "spatial relationship": (42, 9),
    "object hallucination": (29, 6),
    "detail omission": (21, 2),
}
PAPER_TOTAL = (200, 41)
"""VideoSAVi's Table 2: iterations 1 and 4. The world has no causal questions."""

PAPER_GENERALISATION = {"forms": 72.5, "looks": 71.8, "outside": 70.2, "adversarial": 69.4, "compositional": 70.7}
"""VideoSAVi's Table 3."""

Found = dict[str, list[Reached]]


def write_page(fits: Sequence[Fit], measurements: Sequence[Measurement], page: Path) -> None:
    """Write the page, and its figures into the folder of its name beside it. What has not been run is a dash."""
    found = read_fits(fits)
    figures = page.with_suffix("")
    figures.mkdir(parents=True, exist_ok=True)
    draw_rounds(found, [*METHODS, *CONTROLS, "rounds_6"], figures / "rounds.png")
    draw_critic(found.get("videosavi", []), figures / "critic.png")
    draw_deciding(found, ["videosavi", *DECIDING], figures / "deciding.png")
    parts = [
        _opening(fits, found),
        _gains("Table 1: methods", METHODS, found, by_kind=True),
        _gains("Controls: nothing should be learnt", CONTROLS, found),
        _errors(found.get("videosavi", [])),
        _generalisation(found, read_measurements(measurements)),
        _gains("Table 5: who criticises", ("videosavi", *CRITICS), found),
        _gains("What decides", ("videosavi", *DECIDING), found),
        _per_base(found.get("videosavi", [])),
        f"## Figures\n\n![Accuracy by round]({figures.name}/rounds.png)\n\n![Gain and the critic's advantage]"
        f"({figures.name}/critic.png)\n\n![What decides]({figures.name}/deciding.png)",
    ]
    page.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _opening(fits: Sequence[Fit], found: Found) -> str:
    done = [run.fit for runs in found.values() for run in runs]
    bases = sorted({fit.base.name for fit in done})
    one = " **They rest on one base: the intervals say nothing of other bases.**" if len(bases) == 1 else ""
    items = max((run.last["items"] for runs in found.values() for run in runs), default=0)
    return (
        "# VideoSAVi in miniature\n\n"
        "Does a video language model that criticises its own answers learn from it, and more than from cheaper "
        "signals? On rendered clips the truth is known, so that every claim can be checked. Written by `make "
        "paper-page` from result files; no number was typed.\n\n"
        f"{len(done)} of {len(fits)} runs are finished, on {len(bases)} bases ({', '.join(bases) or 'none'}) and "
        f"{len({fit.seed for fit in done})} seeds.{one} Accuracy in percent: multiple choice by likelihood over "
        f"{items} held-out questions, four options, after the last round. ± is a 95 % interval over all runs of a row, "
        "bases and seeds together (Student's t). Differences are paired: the same base, the same seed. A row is "
        "repeated by `savi fit --config experiments/paper/NAME.yaml --model.base.path BASE --seed_everything SEED`, "
        "all of them by `make paper`."
    )


def _gains(title: str, experiments: Sequence[str], found: Found, by_kind: bool = False) -> str:
    """Accuracy, gain over the base, difference to VideoSAVi, malformed replies; a row an experiment."""
    kinds = list(KINDS) if by_kind else []
    rows = [["", "experiment", "runs", "accuracy", "over its base", "less VideoSAVi", *kinds, "malformed"]]
    reference = {(run.fit.base, run.fit.seed): run.last["accuracy"] for run in found.get("videosavi", [])}
    if by_kind and (runs := found.get("videosavi")):
        cells = [show(estimate([run.base["by_task"][kind] for run in runs])) for kind in kinds]
        accuracy, malformed = (show(estimate([run.base[key] for run in runs])) for key in ("accuracy", "malformed"))
        rows.append(["base", "", str(len(runs)), accuracy, "", "", *cells, malformed])
    for name in experiments:
        runs = found.get(name, [])
        paired = [
            run.last["accuracy"] - reference[run.fit.base, run.fit.seed]
            for run in runs
            if (run.fit.base, run.fit.seed) in reference and name != "videosavi"
        ]
        rows.append(
            [
                NAMES.get(name, ""),
                f"`{name}`",
                str(len(runs)),
                show(_over(runs, lambda run: run.last["accuracy"])),
                show(_over(runs, lambda run: run.gain), signed=True),
                show(estimate(paired), signed=True) if name != "videosavi" else "",
                *(show(estimate([run.last["by_task"][kind] for run in runs])) for kind in kinds),
                show(_over(runs, lambda run: run.last["malformed"])),
            ]
        )
    return _table(title, rows)


def _errors(runs: Sequence[Reached]) -> str:
    """Errors by kind, mean counts over runs, a column a round; and those that the language prior caused."""
    length = min((len(run.rounds) for run in runs), default=1)
    rounds = ["base", *(f"round {index}" for index in range(1, length))]
    counted = {
        kind: [[run.rounds[at]["errors"].get(kind, 0) for at in range(length)] for run in runs] for kind in PAPER_ERRORS
    }
    counted["total"] = [[sum(run.rounds[at]["errors"].values()) for at in range(length)] for run in runs]
    counted["driven by the language prior"] = [[run.by_prior[at].driven for at in range(length)] for run in runs]
    rows = [["errors", *rounds, "fall (%)", "paper's fall (%)"]]
    for name, counts in counted.items():
        means = [show(estimate(column), scale=1) for column in zip(*counts, strict=True)] or ["-"] * length
        falls = estimate([1 - of_run[-1] / of_run[0] for of_run in counts if of_run[0]])
        first, last = PAPER_ERRORS.get(name, PAPER_TOTAL if name == "total" else (0, 0))
        rows.append([name, *means, show(falls), f"{100 * (1 - last / first):.0f}" if first else ""])
    return _table("Table 2: errors by kind over the rounds (`videosavi`)", rows) + (
        "\n\nThe paper counts from its first iteration, this table from the base. An error is driven by the language "
        "prior where the wrong answer chosen is the question text's favourite, which the base was taught."
    )


def _generalisation(found: Found, measured: dict[tuple[str, str], list[float]]) -> str:
    names = [*reversed(GENERALISING), "base"]
    rows = [["set", *names, "paper's VideoSAVi"]]
    test = [show(_over(found.get(name, []), lambda run: run.last["accuracy"])) for name in names[:-1]]
    rows.append(["test", *test, show(_over(found.get("videosavi", []), lambda run: run.base["accuracy"])), "76.1"])
    for name in SETS:
        cells = [show(estimate(measured.get((experiment, name), []))) for experiment in names]
        rows.append([name, *cells, str(PAPER_GENERALISATION[name])])
    adversarial = [show(_over(found.get(name, []), _adversarial(-1))) for name in names[:-1]]
    base = show(_over(found.get("videosavi", []), _adversarial(0)))
    rows.append(["adversarial", *adversarial, base, str(PAPER_GENERALISATION["adversarial"])])
    return _table("Table 3: generalisation", rows) + (
        "\n\nThe sets are described in `src/savi/world/sets.py`; adversarial are the test questions whose favourite "
        "answer is wrong. One set: `savi validate … --ckpt_path RUN/checkpoints/last.ckpt --data.benchmark_set NAME`."
    )


def _adversarial(index: int) -> Callable[[Reached], float]:
    return lambda run: run.by_prior[index].right / run.by_prior[index].adversarial


def _per_base(runs: Sequence[Reached]) -> str:
    rows = [["base", "runs", "base accuracy", "critic's advantage (its card)", "VideoSAVi's gain"]]
    for base in dict.fromkeys(run.fit.base for run in runs):
        own = [run for run in runs if run.fit.base == base]
        cells = [show(_over(own, lambda run: run.base["accuracy"])), f"{100 * advantage(own[0].fit):+.1f}"]
        rows.append([base.name, str(len(own)), *cells, show(_over(own, lambda run: run.gain), signed=True)])
    return _table("Bases", rows)


def _over(runs: Sequence[Reached], value: Callable[[Reached], float]) -> Estimate | None:
    return estimate([value(run) for run in runs])


def _table(title: str, rows: Sequence[Sequence[str]]) -> str:
    heading, *body = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([f"## {title}", "", heading, "|" + "---|" * len(rows[0]), *body])
