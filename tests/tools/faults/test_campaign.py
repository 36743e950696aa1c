"""A small sample of the campaign itself: real kills, real damaged files, and no difference."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.faults.journal import records

ROOT = Path(__file__).resolve().parents[3]


def campaign(work: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tools.faults", f"--work={work}", "--no-normal-start", "--jobs=1", *more]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500, check=False)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.mark.slow  # tests/test_run.py and tests/test_resume.py kill runs, too
def test_killed_runs_end_as_undisturbed_ones(work: Path) -> None:
    done = campaign(work, "--videos=0", "--kills=5")
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    (journal,) = work.glob("runs_*/cases.jsonl")
    cases = records(journal)
    assert sum(len(case["kills"]) for case in cases) >= 5
    assert [case["differences"] for case in cases] == [[] for _ in cases]
    assert "| all" in done.stdout


def test_damaged_videos_are_decoded_whole_or_refused(work: Path) -> None:
    done = campaign(work, "--videos=60", "--kills=0")
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    (journal,) = work.glob("videos_*/videos.jsonl")
    videos = records(journal)
    assert sorted(video["index"] for video in videos) == list(range(60))
    assert {"accepted", "refused"} <= {video["outcome"] for video in videos}


def test_a_campaign_takes_up_where_it_was_stopped(work: Path) -> None:
    (journal,) = work.glob("videos_*/videos.jsonl")
    before = journal.read_text()
    lines = before.splitlines(keepends=True)
    journal.write_text("".join(lines[:50]))
    assert campaign(work, "--videos=60", "--kills=0").returncode == 0
    again = records(journal)
    assert [(video["index"], video["outcome"]) for video in again] == [
        (video["index"], video["outcome"]) for video in map(json.loads, lines)
    ]
