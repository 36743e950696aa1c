"""`make paper`: run what is missing of the study, condense it to one file, and write the page from that file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.paper.gather import gather
from tools.paper.outdated import outdated
from tools.paper.page import write_page
from tools.paper.plan import Base, fits_of, plan
from tools.paper.runner import run_all


def main() -> None:
    """Exit code 1 where a run failed, 130 after Ctrl-C; what is finished is gathered and written all the same."""
    given = _parser().parse_args()
    study = given.study or Path("lightning_logs") / ("paper_quick" if given.quick else "paper")
    page = given.page or (study / "paper.md" if given.quick else Path("docs") / "paper.md")
    results = page.with_suffix("") / "results.jsonl"
    if given.page_only:
        if not results.is_file():
            sys.exit(f"paper: there is no {results}; make paper writes it")
        write_page(results, page)
        print(f"Written: {page}")
        return
    bases, others = ([Base(path) for path in paths] for paths in (given.bases, given.others))
    _check(bases, others)
    tasks = plan(study, bases, given.seeds, given.quick, others)
    for fit in fits_of(tasks):
        if fit.results and (difference := outdated(fit)):
            sys.exit(f"paper: {fit.folder}: {difference}; move the run away, or take the change back")
    failed: set[str] = set()
    code = 0
    try:
        run_all(tasks, given.jobs, study / "logs", failed)
    except KeyboardInterrupt:
        code = 130
    finally:
        if finished := gather(tasks, results, failed, given.quick):
            write_page(results, page)
            print(f"Written: {page}, from {finished} runs" + (f"; {len(failed)} failed" if failed else ""))
    sys.exit(code or (1 if failed else 0))


def _check(bases: list[Base], others: list[Base]) -> None:
    """One line for what can't be run."""
    every = [*bases, *others]
    if missing := [
        base.path for base in every if base.path != "world" and not Path(base.path, "config.json").is_file()
    ]:
        sys.exit(f"paper: {missing[0]} is no base model; make base SEED=n writes one to bases/n")
    if missing := [base.path for base in every if base.path != "world" and not Path(base.path, "README.md").is_file()]:
        sys.exit(f"paper: {missing[0]} has no README.md: the page takes the base's figures from its card")
    if len({base.name for base in every}) < len(every):
        sys.exit("paper: two bases have folders of one name")
    if wrong := [base.path for base in bases if base.kind != "main"]:
        sys.exit(f"paper: {wrong[0]} is of another kind than the main tables' bases; name it under --others")
    if wrong := [base.path for base in others if base.kind == "main"]:
        sys.exit(f"paper: --others: {wrong[0]} is none of small-*, large-*, weak-*, natural*; name it under --bases")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("paper", description="The paper's tables on rendered clips.")
    parser.add_argument("--bases", nargs="+", default=["world"], help="world, and folders that make base wrote")
    parser.add_argument(
        "--others", nargs="*", default=[], help="bases of other kinds: folders small-*, large-*, weak-*, natural*"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--study", type=Path, help="folder of all runs")
    parser.add_argument("--page", type=Path, help="the page; its figures and results.jsonl lie in a folder beside it")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one base, one seed, six experiments, 120 test clips: to the study's folder",
    )
    parser.add_argument("--page-only", action="store_true", help="write page and figures from results.jsonl alone")
    return parser


if __name__ == "__main__":
    main()
