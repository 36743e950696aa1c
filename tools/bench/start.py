"""`python -m tools.bench.start [RUNS]`: CPU seconds until a command of savi is imported, and until its libraries are.

CPU seconds of a process, user and system: a busy machine changes them little. Each run is a process of its own, and the
codes take turns.
"""

from __future__ import annotations

import os
import subprocess
import sys
from statistics import median

LIBRARIES = "import torch, lightning, transformers"
CODES = {
    LIBRARIES: LIBRARIES,
    "savi fit": "from savi.cli.main import load; load('fit')",
    "savi ask": "from savi.cli.main import load; load('ask')",
    "savi predict": "from savi.cli.main import load; load('predict')",
    "savi check": "from savi.cli.main import load; load('check')",
    "savi --help": "from savi.cli import main; main(['--help'])",
}


def cpu_seconds(code: str) -> float:
    """Of one Python process that runs the code."""
    before = os.times()
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def main(runs: int) -> None:
    """One row per code: the median with its spread, and the ratio of medians to the libraries alone."""
    seconds: dict[str, list[float]] = {name: [] for name in CODES}
    for _ in range(runs):
        for name, code in CODES.items():
            seconds[name].append(cpu_seconds(code))
    print("| imported | CPU seconds | of the libraries' |\n| --- | --- | --- |")
    for name, each in seconds.items():
        ratio = median(each) / median(seconds[LIBRARIES])
        print(f"| `{name}` | {median(each):.2f} ({min(each):.2f} to {max(each):.2f}) | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 5)
