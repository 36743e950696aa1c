"""savi as it is installed: a wheel, run in an empty folder, does what the checkout does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from savi.cli import main
from savi.world.clips import training_clips
from tests.quick_runs import QUICK

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel of this checkout installed into it, without what it depends on."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # building leaves files behind
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    subprocess.run([*pip, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, source], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "-q", "--no-deps", "--no-index", "--target", folder / "site", wheel], check=True)
    return folder / "site"


def rounds(run: Path) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((run / "results.json").read_text())["rounds"]
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in entries]


def test_the_wheel_runs_the_loop_of_the_checkout_outside_of_it(installed: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    training_clips(clips, 4, seed=0)
    small = [f"--data.clips={clips}", "--data.benchmark_clips=2", "--trainer.max_epochs=1", *QUICK]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    environment = os.environ | {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    which = [sys.executable, "-c", "import savi; print(savi.__file__)"]
    found = subprocess.run(which, cwd=elsewhere, env=environment, capture_output=True, text=True, check=True).stdout
    assert found.strip() == str(installed / "savi" / "__init__.py")
    done = subprocess.run(
        [sys.executable, installed / "bin" / "savi", "fit", *small],
        cwd=elsewhere,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    there = elsewhere / "lightning_logs" / "demo" / "version_0"

    main(["fit", f"--config={ROOT / 'experiments' / 'demo.yaml'}", f"--runs={tmp_path / 'runs'}", *small])
    here = tmp_path / "runs" / "demo" / "version_0"
    for name in (
        "pairs/round_00.jsonl",
        *(f"benchmarks/round_{n}/world.jsonl" for n in ("00", "01")),
    ):
        assert (there / name).read_bytes() == (here / name).read_bytes(), name
    assert rounds(there) == rounds(here)
    assert [entry["pairs"] > 0 for entry in rounds(there)] == [False, True]
