"""Two processes that share a run against two that have one each, side by side, with half of the clips.

    python -m tools.bench.two_processes

Both use the same cores, so what the two lose by sharing a run is all that differs. One round of the demo, one thread
for each process. Worth something on a quiet machine alone: the load is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory

PARTS = ("building", "training")
SHARED = ("--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.strategy=ddp")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.two_processes", description=__doc__)
    parser.add_argument("--clips", type=int, default=320, help="of the shared run")
    parser.add_argument("--repeats", type=int, default=3, help="readings of each side, by turns")
    options = parser.parse_args()
    readings = []
    for _ in range(options.repeats):
        (together,) = _seconds([[f"--data.clip_count={options.clips}", *SHARED]])
        halves = [[f"--data.clip_count={options.clips // 2}", f"--seed_everything={seed}"] for seed in range(2)]
        apart = _seconds(halves)
        readings.append({part: (together[part], mean(one[part] for one in apart)) for part in PARTS})
    print("| part | two that share a run, s | two with one each, s | share |\n| --- | ---: | ---: | ---: |")
    for part in PARTS:
        together_s, apart_s = zip(*(reading[part] for reading in readings), strict=True)
        shares = [alone / shared for shared, alone in zip(together_s, apart_s, strict=True)]
        spread = f"{min(shares):.2f} to {max(shares):.2f}"
        print(f"| {part} | {median(together_s):.1f} | {median(apart_s):.1f} | **{median(shares):.2f}** ({spread}) |")
    print(f"load of the last minute: {os.getloadavg()[0]:.1f} (2 without anything else)")


def _seconds(runs: Sequence[Sequence[str]]) -> list[dict[str, float]]:
    """The seconds of each part of runs that go on at the same time. runs: their settings."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "savi.cli", "fit", "--config=demo", "--trainer.max_epochs=1"]
        quiet = ["--data.benchmark=null", "--trainer.enable_progress_bar=false"]
        # As by default. The demo keeps prefixes in main memory alone, where a process has those of its own clips.
        quiet += ["--model.prefix_cache.gib=1", f"--model.prefix_cache.folder={folder}/prefixes"]
        processes = []
        for number, settings in enumerate(runs):
            given = [*command, *quiet, f"--runs={folder}/{number}", *settings]
            one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
            processes.append(subprocess.Popen(given, env=one_thread, stdout=subprocess.DEVNULL))
        ended = [process.wait() for process in processes]
        if any(ended):
            raise SystemExit("a run failed")
        files = [next(Path(folder, str(number)).rglob("results.json")) for number in range(len(runs))]
        return [json.loads(file.read_text())["rounds"][-1]["seconds"] for file in files]


if __name__ == "__main__":
    main()
