"""`python -m tools.faults`: kills runs and damages videos, and says in two tables what came of it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tools.faults.campaign import ROOT, Campaign, deadline
from tools.faults.table import runs_table, videos_table


def main() -> None:
    """Exit code 1 where anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tools.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="Kills of runs; 0 for none.")
    parser.add_argument("--videos", type=int, default=10_000, help="Damaged video files; 0 for none.")
    parser.add_argument("--hours", type=float, default=3.0, help="No run or block of videos is begun after so long.")
    parser.add_argument("--seed", type=int, default=0, help="Of the kills and the damage.")
    parser.add_argument("--jobs", type=int, default=2, help="Runs, or decoders, at a time.")
    parser.add_argument("--work", type=Path, default=ROOT / ".cache" / "faults", help="Folder for all of it.")
    parser.add_argument("--no-normal-start", action="store_true", help="Don't compare a start in a new interpreter.")
    given = parser.parse_args()
    campaign = Campaign(given.work.resolve(), given.seed, given.jobs, deadline(given.hours))
    found = False
    if given.videos:
        campaign.feed(given.videos)
        found |= report_videos(campaign)
    if given.kills:
        campaign.kill(given.kills, normal=not given.no_normal_start)
        found |= report_runs(campaign)
    sys.exit(1 if found else 0)


def report_videos(campaign: Campaign) -> bool:
    """Print the table of the videos. Whether there are defects."""
    videos = campaign.videos()
    defects = [video for video in videos if video["defect"]]
    for video in defects:
        print(f"video {video['index']} ({video['base']}, {video['kind']}): {video['defect']}")
    peak = max([*campaign.peaks(), *(video["memory"] for video in videos), 0])
    slowest = max((video["seconds"] for video in videos), default=0.0)
    print(f"\n{videos_table(videos)}\n")
    print(f"The decoder's most memory: {peak / 2**20:.0f} MiB. The slowest file: {slowest:.1f} s.\n")
    return bool(defects)


def report_runs(campaign: Campaign) -> bool:
    """Print the table of the runs. Whether there are differences."""
    cases = campaign.cases()
    for case in cases:
        for difference in case["differences"]:
            print(f"case {case['index']} ({case['kind']}; killed: {', '.join(case['kills'])}): {difference}")
    print(f"\n{runs_table(cases)}\n")
    print(f"Other processes of a run ended within {max(c['longest_end'] for c in cases):.1f} s after a kill.")
    different: list[str] = []
    if (campaign.run_folder / "normal.json").exists():
        different = json.loads((campaign.run_folder / "normal.json").read_text())
        print(f"A start in a new interpreter and one by a fork: {len(different)} differences {different or ''}")
    return bool(different) or any(case["differences"] for case in cases)


if __name__ == "__main__":
    main()
