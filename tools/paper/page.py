"""docs/paper.md: a short paper, made of results.jsonl alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean

from tools.paper import sentences, tables
from tools.paper.claims import ON_THESE, claims, clear_on
from tools.paper.figures import CRITICISED, draw
from tools.paper.gather import read_rows
from tools.paper.numbers import Study, estimate, show
from tools.paper.plan import CONTROLS, CRITICS, DECIDING, GUARDS, METHODS
from tools.paper.published import CRITICS as PAPERS_CRITICS
from tools.paper.published import NAMES


def write_page(results: Path, page: Path) -> None:
    """Write the page, and its figures into the folder of its name beside it. What has not been run is a dash."""
    study = Study(read_rows(results))
    folder = page.with_suffix("")
    captions = draw(study, folder)
    figures = {name: f"![{caption}]({folder.name}/{name})\n\n*{caption}.*" for name, caption in captions.items()}
    parts = [
        _opening(study),
        _setting(study),
        *_methods(study, figures),
        *_rounds_and_sets(study),
        *_others(study, figures),
        _agreement(study),
        _limits(study),
        _remaking(study, results.name, folder.name),
    ]
    page.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")


def _opening(study: Study) -> str:
    quick = "\n\n**This is the quick one: one base, one seed, six experiments, 120 test clips. It decides nothing.**"
    clear, bases = clear_on(study)
    less = estimate(study.paired("videosavi", "sft").values())
    above_sft = f", and {show(less, signed=True)} more than SFT on the same revised answers does" if less else ""
    found = (
        f"VideoSAVi changes its base's accuracy by {sentences.gain(study, 'videosavi')} points, "
        f"its gain clear of zero on {clear} of {bases} bases{above_sft}. {sentences.controls(study)}"
    )
    return (
        "# VideoSAVi in miniature\n\n"
        "Does a video language model that criticises its own answers learn from it, and more than from cheaper "
        "signals? "
        f"On rendered clips the truth is known, so that the paper's claims can be checked, with controls. {found}"
        + (quick if study.plan["quick"] else "")
    )


def _setting(study: Study) -> str:
    main = [name for name, base in study.bases.items() if base["kind"] == "main"]
    done = [run for run in study.all if run.kind == "main"]
    seeds = sorted({run.seed for run in done})
    items = max((run.last["items"] for run in done), default=0)
    failed = f" **Failed: {', '.join(f'`{label}`' for label in study.failed)}.**" if study.failed else ""
    one = " **All rest on one base: the intervals say nothing of other bases.**" if len(main) == 1 else ""
    taught = ", ".join(f"`{name}` (seed {study.bases[name]['taught_with']})" for name in main)
    return (
        "## Setting\n\n"
        "A base is the genuine Qwen2.5-VL class in miniature, taught from random weights on clips of coloured shapes "
        "that appear, move and change. **The gap between answering and criticising was made on purpose**: answers "
        "carry "
        "a language prior, critiques were taught clean. Alignment sees clips and no label: the model asks, answers, "
        "criticises and revises, and DPO prefers the revision, for four rounds. Accuracy, in percent, is multiple "
        f"choice by likelihood over {items} held-out questions, four options; in its own words it is that of greedy "
        "replies. The test set was opened to make tables only, choices were made on others; `experiments/LOG.md` has "
        "what was opened when, and what failed.\n\n"
        f"Bases: {taught}; seeds {', '.join(map(str, seeds)) or 'none'}. {len(study.all)} of {study.plan['fits']} runs "
        f"and {len(study.sets)} of {study.plan['measurements']} measurements on other sets are "
        f"finished.{failed}{one}\n\n"
        "± is half of a 95 % interval by Student's t. For one base it is over its seeds: the same base, other clips, "
        "other samples. For a row it is over all of its runs, bases by seeds, as if they were independent; runs on one "
        "base are not, so read the means of the bases first. What is the same in all runs of a base, as its own "
        "accuracy is, counts once a base. Differences are paired: the same base, the same seed. Of a single run there "
        "is no interval.\n\n"
        "### Bases\n\nHow much do answers improve when each base criticises them, and what does VideoSAVi make of it? "
        "Greedy answers right, and the same after revision, by the base's model card. The critic's advantage is that "
        "difference as the readiness check finds it on its labelled questions, before training.\n\n"
        f"{tables.bases(study)}\n\n{_command(study, ['videosavi'])}"
    )


def _methods(study: Study, figures: dict[str, str]) -> list[str]:
    against = ", ".join(
        f"{show(difference, signed=True)} against {NAMES[name]}"
        for name in METHODS[:-1]
        if (difference := estimate(study.paired("videosavi", name).values()))
    )
    return [
        "## Table 1: methods\n\nIs it the self-critique that helps, or any training on the same clips? The paper's "
        "gain is "
        f"the mean over its six benchmarks.\n\n{tables.methods(study, METHODS, by_kind=True)}\n\n"
        + (f"VideoSAVi: {against}. " if against else "")
        + sentences.malformed(study)
        + _command(study, METHODS),
        figures.get("rounds.png", ""),
        "## Controls: nothing should be learnt\n\nDoes accuracy rise where the pairs say nothing? The paper has none "
        "of "
        f"these.\n\n{tables.methods(study, CONTROLS, by_kind=True)}\n\n"
        f"{sentences.controls(study)}{sentences.by_kind(study)} {_command(study, CONTROLS)}",
    ]


def _rounds_and_sets(study: Study) -> list[str]:
    own = study.runs("videosavi")
    return [
        "## Table 2: errors by kind over the rounds\n\nWhich errors go? Of `videosavi`; the paper counts from its "
        "first "
        "iteration, this table from the base. An error is driven by the language prior where the wrong answer chosen "
        "is "
        f"the question text's favourite, which the base was taught.\n\n{tables.errors(own)}\n\n"
        + (f"{tables.prior_fall(own)} " if own else "")
        + _command(study, ["videosavi"]),
        "## Table 3: generalisation\n\nDoes it hold on clips and questions unlike those of training? The sets are "
        "described in "
        "`src/savi/world/sets.py`; adversarial are the test questions whose favourite answer is wrong.\n\n"
        f"{tables.generalisation(study)}\n\n{_command(study, ['videosavi'], 'set')}",
    ]


def _others(study: Study, figures: dict[str, str]) -> list[str]:
    parts = [
        "## Table 5: who criticises\n\nMust the critic see the clip, and be the model itself? The paper's critics, "
        "the mean of "
        "MVBench, EgoSchema and LongVideoBench: "
        f"GPT-4o {fmean(PAPERS_CRITICS['critic_another']):.1f}, the model itself "
        f"{fmean(PAPERS_CRITICS['videosavi']):.1f}.\n\n"
        f"{tables.methods(study, ('videosavi', *CRITICS))}\n\n{_command(study, CRITICS)}",
        "## What the pairs say, and what is learnt\n\nHow often is a response right in the pairs of the first round, "
        "which are the base's own, in percent of those whose question has a true answer? And which errors are left at "
        f"the end, in numbers?\n\n{tables.pairs(study)}\n\n{sentences.blind_gains(study)}{_command(study, METHODS)}",
        "## Readiness\n\nWhat can be measured of a run before it is trained, and what came of it? The first four "
        "without a label. It is measured when such a run begins. Warned of: how many runs the check warns of, by all "
        "that it knows and without its labelled questions; `experiments/LOG.md` says which runs its bounds were set "
        "by.\n\n"
        f"{tables.readiness(study)}\n\n"
        + _command(
            study, dict.fromkeys(run.experiment for run in study.all if run.readiness and run.experiment in CRITICISED)
        ),
        figures.get("critic.png", ""),
    ]
    if any(base["kind"] in ("small", "large") for base in study.bases.values()):
        parts.append(
            "## Table 6: size\n\nDoes a smaller model gain as well? The paper's rows are means of MVBench, EgoSchema "
            "and "
            f"LongVideoBench.\n\n{tables.sizes(study)}\n\n{_command(study, ['videosavi'], kinds=('small', 'large'))}"
        )
    if any(base["kind"] == "weak" for base in study.bases.values()):
        parts.append(
            "## Guards: on a base whose critic is weak\n\nWhat keeps a run from collapsing where criticism is hardly "
            "worth "
            f"learning from?\n\n{tables.guards(study)}\n\n{_command(study, ('videosavi', *GUARDS), kinds=('weak',))}"
        )
    if not study.plan["quick"]:
        parts += [
            "## What decides\n\nWhich settings does the gain hang on? One seed a base, so that most differences are "
            "not "
            f"told apart.\n\n{tables.methods(study, ('videosavi', *DECIDING))}\n\n{_command(study, DECIDING)}",
            figures.get("deciding.png", ""),
            figures.get("six_rounds.png", ""),
        ]
    return parts


def _agreement(study: Study) -> str:
    found = Counter(claim.verdict for claim in claims(study))
    here = sum(found[f"{verdict}{ON_THESE}"] for verdict in ("agrees", "disagrees"))
    rest = found.total() - found["agrees"] - found["disagrees"] - here
    return (
        "## Where it agrees with the paper, and where it doesn't\n\nEach claim is a difference that the paper says is "
        "above zero, in points. It agrees where our interval is clear of zero on that side with every base's mean on "
        "it, and so is the interval over the means of the bases; where that one is not, it agrees on these bases, "
        "which says little of others. It disagrees where all this is so on the other side; else the two are not told "
        "apart. Sizes of differences are not comparable: other clips, other questions, another model. The runs are "
        "those of the tables above, their commands too."
        f"\n\n{tables.checks(study)}\n\nOf {found.total()} claims {found['agrees']} agree, {found['disagrees']} "
        f"disagree, {here} do either on these bases only; {rest} not told apart or not run. Many are tested at once, "
        "and nothing is corrected for it."
    )


def _limits(study: Study) -> str:
    sizes = sorted({f"{base['parameters'] / 1e6:.1f}" for base in study.bases.values()})
    return (
        "## Limits\n\n"
        "- The world is rendered and its language has a few dozen words. No real video was watched.\n"
        "- The gap between answering and criticising was made on purpose. The study asks whether self-critique "
        "helps given such a gap, not whether a large model has one.\n"
        f"- The models are tiny ({', '.join(sizes)} million parameters).\n"
        "- SFT, SFT⁺, TPO and Hound-DPO are our reading of them, as settings of one chain, not their authors' code; "
        "the judge and the text-only critic are the model before an empty film.\n"
        "- The world has no causal questions, and the first 120 test clips were opened before the study, for the demo."
    )


def _remaking(study: Study, results: str, folder: str) -> str:
    commits = ", ".join(f"`{one}`" for one in dict.fromkeys(row["commit"] for row in study.rows) if one)
    days = sorted({row["day"] for row in study.rows})
    return (
        "## Remaking it\n\n`make base SEED=n` teaches a base, `make paper` runs what is missing, and `make "
        "paper-page` makes this "
        f"page and its figures from [{folder}/{results}]({folder}/{results}) alone, which has the exact command of "
        f"every "
        f"run. No number was typed. Gathered {' to '.join(dict.fromkeys((days[0], days[-1])))} at "
        f"{commits or 'no commit'}."
    )


def _command(study: Study, experiments: Iterable[str], row: str = "fit", kinds: Sequence[str] = ("main",)) -> str:
    """What remakes a table's rows: the first of its commands, with what the others put in its places."""
    names = list(experiments)
    there = [one for one in study.rows if one["row"] == row and study.bases[one["base"]]["kind"] in kinds]
    first = next((one for name in names for one in there if one["experiment"] == name), None)
    if first is None:
        return "None of it has been run."
    of = "one run" if row == "fit" else "one set under one run"
    others = f"\nOthers: {', '.join(f'`{name}`' for name in names)} in its place." if len(names) > 1 else ""
    return f"The command of {of}, `{first['label']}`:\n\n```bash\n{first['command']}\n```\n{others}".rstrip()
