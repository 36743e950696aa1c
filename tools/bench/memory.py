"""Peak memory of one step, each side in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import torch

from tools.bench import step
from tools.bench.meters import Watermark
from tools.bench.workload import SHAPES, clip, load, questions

LR = 1e-3


def measure(side: str, shape: str, visual_tokens: int, checkpointing: bool, device: str, folder: Path) -> float:
    """MiB above the resident model, after its start. side: savi or trl."""
    options = [side, shape, str(visual_tokens), str(int(checkpointing)), device]
    command = [sys.executable, "-m", "tools.bench.memory", *options]
    # Freed memory goes back at once: the high-water mark must not depend on what the allocator still holds.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return float(done.stdout.split()[-1])


def main(side: str, shape: str, visual_tokens: str, checkpointing: str, device: str, folder: str) -> None:
    if device == "cpu":
        torch.set_num_threads(1)
    checkpoint = checkpointing == "1"
    lm = load(SHAPES[shape], Path(folder), int(visual_tokens), checkpoint, device)
    noise, frames = clip(int(visual_tokens))
    asked = questions(0)
    mark = Watermark(device)
    lm.encode([noise], [frames])
    optimizer = step.adamw(lm, LR)
    nothing = torch.zeros(len(asked), 2)  # a reference's values take no memory
    # On both sides a step that isn't measured, for what the libraries set up once.
    step.take(lm, optimizer, step.batch(noise, frames, asked, nothing))
    if side == "savi":
        with mark:
            step.take(lm, optimizer, step.batch(noise, frames, asked, nothing))
    else:
        from tools.bench import peer_trl

        peer_trl.train(lm, SHAPES[shape], Path(folder), frames, [asked], LR, checkpoint, False, mark)
    print(mark.readings[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
