"""`make paper`: run what is missing of the study, then write its page from the result files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from paper.page import write_page
from paper.plan import Base, plan
from paper.runner import run_all


def main() -> None:
    """Exit code 1 where a run failed; the page is written all the same."""
    parser = argparse.ArgumentParser("paper", description="The paper's tables on rendered clips.")
    parser.add_argument("--bases", nargs="+", default=["world"], help="world, and folders that make base wrote")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--study", type=Path, help="folder of all runs")
    parser.add_argument("--page", type=Path, help="the page; its figures go into a folder beside it")
    parser.add_argument("--quick", action="store_true", help="one base, one seed, smaller test sets")
    parser.add_argument("--page-only", action="store_true", help="write the page from what is there")
    given = parser.parse_args()
    study = given.study or Path("lightning_logs") / ("paper_quick" if given.quick else "paper")
    page = given.page or (study / "paper.md" if given.quick else Path("docs") / "paper.md")
    bases = [Base(path) for path in given.bases]
    if missing := [
        base.path for base in bases if base.path != "world" and not Path(base.path, "config.json").is_file()
    ]:
        sys.exit(f"paper: {missing[0]} is no base model; make base SEED=n writes one to bases/n")
    if len({base.name for base in bases}) < len(bases):
        sys.exit("paper: two bases have folders of one name")
    fits, measurements = plan(study, bases, given.seeds, given.quick)
    failed = 0
    if not given.page_only:
        failed = run_all(fits, given.jobs, study / "logs")
        measurable = [task for task in measurements if task.of_base or task.fit.results is not None]
        failed += run_all(measurable, given.jobs, study / "logs")
    write_page(fits, measurements, page)
    print(f"Written: {page}" + (f"; {failed} runs failed" if failed else ""))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
