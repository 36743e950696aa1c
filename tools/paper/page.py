"""docs/paper.md: a short paper, made of results.jsonl alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import fmean

from tools.paper import sentences, tables
from tools.paper.claims import claims
from tools.paper.figures import CRITICISED, draw
from tools.paper.gather import read_rows
from tools.paper.layout import command, picture, prose, section
from tools.paper.natural_page import natural_section
from tools.paper.numbers import Study
from tools.paper.plan import CONTROLS, CRITICS, DECIDING, FILTERED, GUARDS, METHODS, NATURAL
from tools.paper.published import CRITICS as PAPERS_CRITICS


def write_page(results: Path, page: Path) -> None:
    """Write the page, and its figures into the folder of its name next to it. A dash stands for a missing run."""
    study = Study(read_rows(results))
    folder = page.with_suffix("")
    captions = draw(study, folder)
    figures = {name: picture(f"{folder.name}/{name}", caption) for name, caption in captions.items()}
    parts = [
        _opening(study),
        _setting(study),
        *_methods(study, figures),
        *_rounds_and_sets(study),
        *_others(study, figures),
        *_more(study, figures),
        natural_section(study),
        _agreement(study),
        _limits(study),
        _remaking(study, results.name, folder.name),
    ]
    page.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")


def _opening(study: Study) -> str:
    quick = (
        "**This is the quick study: one base, one seed, six experiments, 120 test clips. A single base has no interval "
        "over bases. It decides nothing.**"
    )
    return section(
        "# VideoSAVi in miniature",
        prose(
            "Does a video language model that criticizes its own answers learn from it, and more than from cheaper "
            "signals? On rendered clips the truth is known, so the claims of the paper can be checked, with controls.",
            sentences.gain(study),
            sentences.compared(study),
            sentences.controls(study),
        ),
        prose(
            "**Two choices were made with test runs in sight.** β 1 was tried because one run on the test set had been "
            "seen 3.1 points higher with it; it was then chosen on the development set. The bounds of the readiness "
            "check were set between good and bad runs on the test set, so the readiness table below is no test of "
            "them. The filter of implausible revisions answers a drift that runs on the test set had shown; its bound "
            "was chosen on the development set. The other settings were chosen on other clips and other questions than "
            "the test set. The log, `experiments/LOG.md`, says when the test set was opened, and what failed.",
        ),
        quick if study.plan["quick"] else "",
    )


def _setting(study: Study) -> str:
    main = [name for name, base in study.bases.items() if base["kind"] == "main"]
    done = [run for run in study.all if run.kind == "main"]
    seeds = sorted({run.seed for run in done})
    items = max((run.last["items"] for run in done), default=0)
    failed = f"**Failed: {', '.join(f'`{label}`' for label in study.failed)}.**" if study.failed else ""
    one = "**All rests on one base: no interval over bases exists, and nothing is said of other bases.**"
    taught = ", ".join(f"`{name}` (seed {study.bases[name]['taught_with']})" for name in main)
    return section(
        "## Setting",
        prose(
            "A base is the genuine Qwen2.5-VL class in miniature. It was taught from random weights, on clips of "
            "colored shapes that appear, move and change. **The gap between answering and criticizing was made on "
            "purpose**: answers carry a language prior, critiques were taught clean. Alignment sees clips and no "
            "label. For four rounds the model asks, answers, criticizes and revises, and DPO prefers the revision. "
            f"Accuracy is in percent: multiple choice by likelihood over {items} held-out questions with four options. "
            "Accuracy in its own words is that of greedy replies.",
        ),
        prose(
            f"Bases: {taught}; seeds {', '.join(map(str, seeds)) or 'none'}. {len(study.all)} of {study.plan['fits']} "
            f"runs and {len(study.sets)} of {study.plan['measurements']} measurements on other sets are finished.",
            failed,
            one if len(main) == 1 else "",
        ),
        prose(
            "A cell such as 82.3 ± 10.9 (3.0) gives three numbers. The first is the mean. The second is half of the "
            "95 % interval over the means of the bases: it says what to expect of other bases. The third, in brackets, "
            "is the *spread of runs on these bases*: half of the 95 % interval over all runs, as if runs on one base "
            "were independent. Both are by Student's t. **Sentences and verdicts mean the wider of the two.** A single "
            "base has no interval over bases, only a spread in brackets. A number that all runs of a base share, such "
            "as the accuracy of the base itself, has no spread. Differences are paired by base and seed.",
        ),
        "### Bases",
        prose(
            "How much do answers improve when each base criticizes them, and what does VideoSAVi make of it? The table "
            "gives right greedy answers before and after revision, from the model card of the base. The advantage of "
            "the critic is that difference on the labelled questions of the readiness check, before training.",
        ),
        tables.bases(study),
        command(study, ["videosavi"]),
    )


def _methods(study: Study, figures: dict[str, str]) -> list[str]:
    return [
        section(
            "## Table 1: methods",
            prose(
                "Is it the self-critique that helps, or any training on the same clips? The paper's gain is the mean "
                "over its six benchmarks; it has none of i-SRT, best of n and self-consistency.",
            ),
            tables.methods(study, METHODS, by_kind=True),
            prose(sentences.compared(study), sentences.malformed(study)),
            command(study, METHODS),
        ),
        figures.get("rounds.png", ""),
        section(
            "## Controls: nothing should be learned",
            "Does accuracy rise where the pairs say nothing? The paper has none of these controls.",
            tables.methods(study, CONTROLS, by_kind=True),
            prose(sentences.controls(study), sentences.by_kind(study)),
            command(study, CONTROLS),
        ),
    ]


def _rounds_and_sets(study: Study) -> list[str]:
    own = study.runs("videosavi")
    return [
        section(
            "## Table 2: errors by kind over the rounds",
            prose(
                "Which errors go away with `videosavi`? The paper counts from its first iteration, this table from the "
                "base. The language prior drives an error if the wrong answer is the favorite of the question's text, "
                "which the base was taught.",
            ),
            tables.errors(own),
            prose(tables.prior_fall(own)) if own else "",
            command(study, ["videosavi"]),
        ),
        section(
            "## Table 3: generalization",
            prose(
                "Does it hold on clips and questions unlike those of training? `src/savi/world/sets.py` describes the "
                "sets. Adversarial are the test questions whose favorite answer is wrong.",
            ),
            tables.generalisation(study),
            command(study, ["videosavi"], "set"),
        ),
    ]


def _others(study: Study, figures: dict[str, str]) -> list[str]:
    paper = {name: f"{fmean(PAPERS_CRITICS[name]):.1f}" for name in ("critic_another", "videosavi")}
    checked = dict.fromkeys(run.experiment for run in study.all if run.readiness and run.experiment in CRITICISED)
    return [
        section(
            "## Table 5: who criticizes",
            prose(
                "Must the critic see the clip, and be the model itself? In the paper the critics reach, as the mean of "
                f"MVBench, EgoSchema and LongVideoBench: GPT-4o {paper['critic_another']}, the model itself "
                f"{paper['videosavi']}.",
            ),
            tables.methods(study, ("videosavi", *CRITICS)),
            command(study, CRITICS),
        ),
        section(
            "## What the pairs say, and what is learned",
            prose(
                "How often is a response right in the pairs of the first round, which the base itself wrote? The table "
                "gives percent of the pairs whose question has a true answer, and the number of errors at the end.",
            ),
            tables.pairs(study),
            prose(sentences.blind_gains(study)),
            command(study, METHODS),
        ),
        section(
            "## Readiness",
            prose(
                "What does the readiness check measure before training, and what came of the run? The first four "
                "columns need no label. The columns of warnings count the runs that the check warns of: by all that it "
                "knows, and without its labelled questions. Its bounds were set with some of these runs in sight; "
                "`experiments/LOG.md` says which.",
            ),
            tables.readiness(study),
            command(study, checked),
        ),
        figures.get("critic.png", ""),
    ]


def _more(study: Study, figures: dict[str, str]) -> list[str]:
    """The parts that a study has only with bases of other kinds, or beyond the quick one."""
    parts = []
    if any(base["kind"] in ("small", "large") for base in study.bases.values()):
        parts.append(
            section(
                "## Table 6: size",
                prose(
                    "Does a smaller model gain as well? The paper's rows are means of MVBench, EgoSchema and "
                    "LongVideoBench.",
                ),
                tables.sizes(study),
                command(study, ["videosavi"], kinds=("small", "large")),
            )
        )
    if any(base["kind"] == "weak" for base in study.bases.values()):
        parts.append(
            section(
                "## Guards: on a base whose critic is weak",
                "What keeps a run from collapsing where criticism is hardly worth learning from?",
                tables.guards(study),
                command(study, ("videosavi", *GUARDS), kinds=("weak",)),
            )
        )
    if any(study.runs(name) for name in FILTERED):
        parts.append(
            section(
                "## Today's filters",
                prose(
                    "The tables above are of runs with the filters that savi had before those for real replies "
                    "(`experiments/earlier_filters.yaml`). What do today's change? Both columns are of the same base "
                    "and the same seeds, and may be of different kinds of CPU, which differ as seeds do. A single base "
                    "has no interval over bases.",
                ),
                tables.filtered(study),
                command(study, FILTERED),
            )
        )
    if not study.plan["quick"]:
        parts += [
            section(
                "## What decides",
                prose(
                    "Which settings does the gain depend on? There is one seed per base, so most differences are not "
                    "told apart.",
                ),
                tables.methods(study, ("videosavi", *DECIDING)),
                command(study, DECIDING),
            ),
            figures.get("deciding.png", ""),
            figures.get("six_rounds.png", ""),
        ]
    return parts


def _agreement(study: Study) -> str:
    found = Counter(claim.verdict for claim in claims(study))
    rest = found.total() - found["agrees"] - found["disagrees"]
    return section(
        "## Where it agrees with the paper, and where it doesn't",
        prose(
            "Each claim is a difference that the paper says is above zero, in points. It agrees if the wider of the "
            "two intervals is above zero, and so is the mean of every base. It disagrees if both are below. Otherwise "
            "the two sides are not told apart. A single base gives no verdict. Sizes of differences are not "
            "comparable: the clips, the questions and the models are others. The runs are those of the tables above.",
        ),
        tables.checks(study),
        prose(
            f"Of {found.total()} claims {found['agrees']} agree, {found['disagrees']} disagree. The other {rest} are "
            "not told apart, rest on one base only or were not run. Many claims are tested at once, and "
            "nothing corrects for it.",
        ),
    )


def _limits(study: Study) -> str:
    sizes = sorted({f"{base['parameters'] / 1e6:.1f}" for base in study.bases.values() if base["kind"] != NATURAL})
    return section(
        "## Limits",
        "\n".join(
            prose(f"- {text}", indent="  ")
            for text in (
                "The world is rendered, and the miniatures' language has a few dozen words. No real video was watched.",
                "The gap between answering and criticizing was made on purpose. The study asks whether self-critique "
                "helps given such a gap, not whether a large model has one.",
                f"The miniatures are tiny ({', '.join(sizes)} million parameters).",
                "SFT, SFT⁺, TPO, Hound-DPO and i-SRT are our reading of them. They are not the code of their authors. "
                "Hound-DPO's judge and the text-only critic are the model in front of an empty clip.",
                "The world has no causal questions, and the first 120 test clips were opened before the study, for the "
                "demo.",
            )
        ),
    )


def _remaking(study: Study, results: str, folder: str) -> str:
    commits = ", ".join(f"`{one}`" for one in dict.fromkeys(row["commit"] for row in study.rows) if one)
    days = sorted({row["day"] for row in study.rows})
    return section(
        "## Remaking it",
        prose(
            "`make base SEED=n` teaches a base, and `make paper` runs what is missing. `make paper-page` makes this "
            f"page and its figures from [{folder}/{results}]({folder}/{results}) alone, which has the exact command of "
            f"every run. No number was typed. Gathered {' to '.join(dict.fromkeys((days[0], days[-1])))} at "
            f"{commits or 'no commit'}.",
        ),
    )
