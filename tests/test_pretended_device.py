"""A run leaves no tensor behind: all that it does, on a GPU that isn't there (tests/pretended_device.py)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def pretended(folder: Path, processes: int) -> dict[str, Any]:
    """What tests/pretended_runs.py found. It needs a process of its own, as it registers a device with torch."""
    command = [sys.executable, "-m", "tests.pretended_runs", str(folder), str(processes)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    read: dict[str, Any] = json.loads((folder / "found.json").read_text())
    return read


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Loading, readiness, building, steps, evaluation, checkpoint and adapter; then a resumed round and a validation,
    without which there is nothing to read here. And models on their own."""
    return pretended(tmp_path_factory.mktemp("pretended"), 1)


@pytest.mark.slow  # what two processes exchange lies in main memory; all else is done by one of them, too
def test_a_run_in_two_processes_leaves_no_tensor_behind(tmp_path: Path) -> None:
    """And one of them resumes the run."""
    assert pretended(tmp_path, 2)["exit codes"] == [0, 0]


def test_every_way_of_sharing_writes_and_scores_there_as_on_the_host(found: dict[str, Any]) -> None:
    for name, (host, device) in found["families"].items():
        assert host["texts"] == device["texts"], name
        assert device["logps"] == pytest.approx(host["logps"], abs=1e-4), name
        assert device["gradient"] == pytest.approx(host["gradient"], rel=1e-5), name
    (host_ids, host_logps), (device_ids, device_logps) = found["plain"]
    assert host_ids == device_ids
    assert device_logps == pytest.approx(host_logps, abs=1e-4)


def test_the_processor_works_in_other_threads_ahead_of_a_device(found: dict[str, Any]) -> None:
    """Two clips to train on and one held-out clip, over a round and a validation. The texts and scores of every way are
    those of what it made ahead."""
    assert len(found["processed in"]) >= 3
    assert set(found["processed in"]) == {"decoding"}
    for host, device in found["families"].values():
        assert (host["ahead"], device["ahead"]) == ([False, False], [True, True])


def test_clips_behind_other_text_are_not_processed_twice(found: dict[str, Any]) -> None:
    """What is made ahead is of a chat that begins with the clip."""
    assert found["behind text"] == [True, False]


def test_the_host_never_waits_for_a_written_token_while_the_device_is_idle(found: dict[str, Any]) -> None:
    """It learns which replies have ended when it has launched the next step."""
    assert found["waits"] == {"qwen2_5_vl": 0.0, "qwen3_5_moe": 0.0, "steps that stay the same": 0.0}


def test_a_tensor_that_is_left_behind_is_found(found: dict[str, Any]) -> None:
    """Indices left on the host, numbers counted up or drawn there, a GPU's tensor handed to numpy."""
    assert len(found["planted"]) == 5
    for fault, complaint in found["planted"].items():
        assert complaint, fault
        assert "same device" in complaint or "numpy" in complaint, (fault, complaint)
