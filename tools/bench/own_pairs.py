"""A file of pairs about many clips, from reading it to the last step: `savi fit` next to TRL's DPOTrainer.

`python -m tools.bench.own_pairs` trains the embedded miniature on one file of 500 pairs about 100 rendered clips, or
about the videos of a folder too, in each shape that savi reads, and compares the losses with each other and with TRL's.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from savi.cli.main import main as savi
from savi.critique.pairs import read_pairs, stored_pairs
from savi.critique.reference_logps import FOLDER
from savi.data.batches import cut_groups, group_by_clip, plan_steps
from savi.data.pair_files import read_given_pairs
from savi.data.reading import FrameReader
from savi.inference import ScoreRequest
from savi.models.adapters import LoraSettings, attach_lora
from savi.models.load import BaseSettings, load_base
from savi.models.video_lm import VideoLM
from savi.types import Clip, Frames, TwoClipPair, derive_seed
from savi.video.decode import UndecodableClip
from savi.world.clips import training_clips
from tools.bench.meters import Stopwatch
from tools.pair_shapes import SHAPES, Said, trl_plain, write_lines

FRAMES = 32
PAIRS = 5
"""Of a clip."""

COLORS = ("red", "green", "blue", "gray", "white", "black", "pink")


@dataclass(frozen=True)
class Workload:
    """What both sides learn: base, videos, pairs of a step, and at most so many steps."""

    base: str
    lora: LoraSettings
    videos: Sequence[Path]
    pairs_per_step: int
    steps: int
    lr: float
    checkpointing: bool
    max_pixels: int | None = None

    def pairs(self) -> list[Said]:
        """The clips in turn, so that no two pairs of one follow each other."""
        return [
            Said(str(video), f"what color is thing {number} ?", _answer(place + number), _answer(place + number + 1))
            for number in range(PAIRS)
            for place, video in enumerate(self.videos)
        ]


@dataclass(frozen=True)
class Trained:
    """losses: of each step. seconds: from decoding to the last step. pairs: that the steps learned from."""

    losses: list[float]
    seconds: float
    pairs: int


def train_savi(work: Workload, file: Path, runs: Path) -> tuple[Trained, Path]:
    """`savi fit` on the file, and the folder of its run. The reference scores all pairs, also those of no step."""
    options = {
        "data.pairs": file,
        "data.benchmark": "null",
        "data.pairs_per_step": work.pairs_per_step,
        "data.max_pixels": "null" if work.max_pixels is None else work.max_pixels,
        "data.cache": runs / "cache",
        "model.base.path": work.base,
        "model.base.gradient_checkpointing": work.checkpointing,
        "model.lora.r": work.lora.r,
        "model.lora.alpha": work.lora.alpha,
        "model.optimizer.lr": work.lr,
        "model.optimizer.clip_norm": 0,
        "trainer.max_epochs": 1,
        "trainer.limit_train_batches": work.steps,
        "trainer.enable_progress_bar": "false",
        "runs": runs,
    }
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        savi(["fit", "--config=pairs", *(f"--{key}={value}" for key, value in options.items())])
    run = runs / "pairs" / "version_0"
    seconds = json.loads((run / "results.json").read_text())["rounds"][-1]["seconds"]
    with (run / "metrics.csv").open() as opened:
        losses = [float(row["loss"]) for row in csv.DictReader(opened) if row["loss"]]
    return Trained(losses, seconds["building"] + seconds["training"], work.pairs_per_step * len(losses)), run


def train_trl(work: Workload, file: Path, run: Path) -> Trained:
    """TRL on the pairs of the same steps, in their order, from the same adapter; its collator decodes the videos."""
    from tools.bench import peer_trl  # not at the top: the rest runs where TRL isn't installed

    clips = read_given_pairs(str(file)).clips
    pairs, by_clip = stored_pairs(run / "pairs" / "round_00.jsonl")
    groups = cut_groups(group_by_clip(pairs, by_clip, clips), work.pairs_per_step)
    steps = plan_steps(groups, work.pairs_per_step, 1, derive_seed(0, "steps", 0))[: work.steps]
    places = {clip: place for place, clip in enumerate(clips)}
    ids = {clip.id: place for clip, place in places.items()}
    rows = [
        {"question": ScoreRequest(places[group.clip], pair.prompt, (pair.chosen, pair.rejected))}
        | ({"rejected_clip": ids[pair.rejected_clip]} if isinstance(pair, TwoClipPair) else {})
        for step in steps
        for group in step
        for pair in group.pairs
    ]
    settings = BaseSettings(work.base, gradient_checkpointing=False)
    base = load_base(settings, FRAMES)
    torch.manual_seed(0)
    lm = VideoLM(base, attach_lora(base.model, base.family, work.lora))
    reader = FrameReader(FRAMES, 60.0, lambda _: False, work.max_pixels)
    collate = peer_trl.VideoCollator(lm, lambda clip: _decoded(reader, clips[clip]))
    watch = Stopwatch("cpu")
    whole = Stopwatch("cpu")
    with whole:
        losses = peer_trl.train_rows(
            lm, settings, work.lora, rows, collate, work.pairs_per_step, work.lr, work.checkpointing, watch
        )
    return Trained(losses, whole.readings[0], len(rows))


def compare(work: Workload, folder: Path) -> dict[str, Any]:
    """Both sides on one file: pairs a second with everything counted, their ratio, and how far the losses are apart."""
    file = write_lines(folder / "pairs.jsonl", [SHAPES["TRL"](pair) for pair in work.pairs()])
    ours, run = train_savi(work, file, folder / "runs")
    theirs = train_trl(work, file, run)
    rates = [side.pairs / side.seconds for side in (ours, theirs)]
    return {
        "clips": len(work.videos),
        "pairs": ours.pairs,
        "pairs_per_s": round(rates[0], 3),
        "trl_pairs_per_s": round(rates[1], 3),
        "ratio": round(rates[0] / rates[1], 2),
        "steps": len(ours.losses),
        "largest_difference": largest_difference(ours.losses, theirs.losses),
        "savi": ours.losses,
        "trl": theirs.losses,
    }


def largest_difference(one: Sequence[float], other: Sequence[float]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def _decoded(reader: FrameReader, clip: Clip) -> Frames:
    (frames,) = reader([clip])
    if frames is None or isinstance(frames, UndecodableClip):
        raise RuntimeError(f"{clip.path} gave no frames")
    return frames


def _answer(number: int) -> str:
    return f"it is {COLORS[number % len(COLORS)]}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.bench.own_pairs", description=__doc__)
    parser.add_argument("--clips", type=int, default=100)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--videos", type=Path, help="a folder of videos that are among the clips; the rest is rendered")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        real = sorted(options.videos.resolve().glob("*.mp4")) if options.videos else []
        rendered = (clip.path for clip in training_clips(folder / "world", options.clips, seed=3))
        work = Workload(
            base="world",
            lora=LoraSettings(r=8, alpha=16),
            videos=list(islice((*real, *rendered), options.clips)),
            pairs_per_step=2 * PAIRS,
            steps=options.steps,
            lr=5e-4,
            checkpointing=False,
            max_pixels=64 * 64,
        )
        pairs = work.pairs()
        print(f"{len(pairs)} pairs about {len(work.videos)} clips, {len(real)} of them real; {work.steps} steps")
        files = {
            name: write_lines(folder / f"{number}.jsonl", [shape(pair) for pair in pairs])
            for number, (name, shape) in enumerate({"TRL, plain": trl_plain, **SHAPES}.items())
        }
        files["savi"] = folder / "TRL, plain" / "pairs" / "version_0" / "pairs" / "round_00.jsonl"
        trained: list[Trained] = []
        for name, file in files.items():
            shutil.rmtree(folder / FOLDER, ignore_errors=True)  # or the first would have scored for all
            one, run = train_savi(work, file, folder / name)
            trained.append(one)
            apart = largest_difference(one.losses, trained[0].losses)
            found = len(read_pairs(run / "pairs" / "round_00.jsonl"))
            told = f"{one.losses[0]:.4f} to {one.losses[-1]:.4f}, {apart:.1e} from those of the first"
            print(f"{name}: {found} pairs, {len(one.losses)} losses, {told}", flush=True)
        theirs = train_trl(work, files["TRL, plain"], folder / "TRL, plain" / "pairs" / "version_0")
        apart = largest_difference(trained[0].losses, theirs.losses)
        print(f"TRL: {len(theirs.losses)} losses, {apart:.1e} from savi's")


if __name__ == "__main__":
    main()
