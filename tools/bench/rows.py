"""The rows of the benchmark: each loads its models, times both sides by turns, and gives ratios with their spread."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch

from savi.models.adapters import LoraSettings, trainable_state
from savi.models.video_lm import VideoLM
from tools.bench import chain, judge, memory, own_pairs, states, step
from tools.bench.meters import Meter, Stopwatch, cpu_meter, matrix_product_rate
from tools.bench.parts import film, time_parts
from tools.bench.workload import QUESTIONS, RESPONSE, SHAPES, clip, load, questions

LR = 1e-3
"""High, so that ten steps move the losses far from where both begin."""


class Bench:
    """repeats: timed steps of a block. peers: which of TRL's ways to time, "video" and "images"."""

    def __init__(self, shape: str, device: str, folder: Path, repeats: int, peers: Sequence[str]) -> None:
        self.name = shape
        self.shape = SHAPES[shape]
        self.device = device
        self.folder = folder
        self.repeats = repeats
        self.peers = peers

    def step(self, tokens: int, checkpointing: bool, response: int = RESPONSE) -> dict[str, Any]:
        """An optimizer step on one clip's six pairs. TRL's blocks alternate with ours: a busy minute slows both.

        response: tokens of a response; with others than usual, TRL's video way is timed alone.
        """
        noise, frames = clip(tokens)
        steps = [questions(index, response) for index in range(self.repeats + 1)]
        peers = self.peers if response == RESPONSE else [way for way in self.peers if way == "video"]
        lm = self.load(tokens, checkpointing)
        fresh = {name: value.clone() for name, value in trainable_state(lm.peft_model).items()}
        ours, once, rates = Stopwatch(self.device), Stopwatch(self.device), []

        def block() -> None:
            lm.peft_model.load_state_dict(fresh, strict=False)
            watch = Stopwatch(self.device)
            step.train(lm, noise, frames, steps, LR, watch)
            step.prepare(lm, noise, frames, steps[0], once)
            # The first step pays for what is loaded and compiled once.
            ours.readings += watch.readings[1:]
            ours.peaks.readings += watch.peaks.readings[1:]
            rates.append(matrix_product_rate(self.device, self.shape.dtype))

        block()
        theirs = {}
        for way in peers:
            lm.peft_model.load_state_dict(fresh, strict=False)
            # Frames as images take so long that one timed step has to do.
            some = steps[:2] if way == "images" else steps
            theirs[way] = self._timed_trl(lm, frames, some, checkpointing, way)
            block()
        seconds = median(ours.readings)
        row: dict[str, Any] = {"visual_tokens": tokens, "checkpointing": checkpointing, "response_tokens": response}
        row["pairs_per_s"] = round(QUESTIONS / seconds, 4)
        for way, watch in theirs.items():
            row[f"trl_{way}_pairs_per_s"] = round(QUESTIONS / median(watch.readings[1:]), 4)
            row |= ratio_of(f"trl_{way}", watch.readings[1:], ours.readings)
        if "video" in theirs:
            # The passes of the vision tower and of the reference counted in, though a round makes them once.
            whole = seconds + median(once.readings)
            row["ratio_trl_video_all"] = round(median(theirs["video"].readings[1:]) / whole, 2)
            if response == RESPONSE:
                row |= self._memory(tokens, checkpointing, ours, theirs["video"])
        elif ours.peaks.readings:
            row["memory_mib"] = round(max(ours.peaks.readings), 1)
        operations = step.operations(lm, self.shape, noise, frames, steps[0])
        row["flop_share"] = round((3 if checkpointing else 2) * operations / seconds / median(rates), 3)
        return row

    def chain(self, tokens: int, turns: Sequence[str]) -> dict[str, Any]:
        """A clip's whole chain, greedy, savi with several clips together. turns: transformers', "batched", "single"."""
        noise, frames = zip(*(clip(tokens, seed) for seed in range(chain.CLIPS)), strict=True)
        lm = self.load(tokens, checkpointing=False, keep=False)
        ways = {way: chain.Generate(lm, frames[0], way == "batched") for way in turns}
        ours, theirs = Stopwatch(self.device), {way: Stopwatch(self.device) for way in turns}
        same = dict.fromkeys(turns, 0)
        count = 0
        for _ in range(self.repeats + 1):
            replies = [text for turn in chain.run(lm, noise, frames, ours) for text in turn]
            count += len(replies)
            for way, generate in ways.items():
                others = [text for turn in generate.run(theirs[way]) for text in turn]
                same[way] += sum(a == b for a, b in zip(replies, others, strict=True))
        seconds = [reading / chain.CLIPS for reading in ours.readings[1:]]
        row: dict[str, Any] = {"visual_tokens": tokens, "clips_per_s": round(1 / median(seconds), 4)}
        row["clips_together"] = chain.CLIPS
        for way, watch in theirs.items():
            row |= ratio_of(f"{way}_turns", watch.readings[1:], seconds)
            row[f"identical_replies_{way}"] = f"{same[way]} of {count}"
        return row

    def judge(self, tokens: int) -> dict[str, Any]:
        """What the judge adds to a chain's time, where every pair is judged. On a CPU it is the process's own time."""
        noise, frames = zip(*(clip(tokens, seed) for seed in range(chain.CLIPS)), strict=True)
        lm = self.load(tokens, checkpointing=False, keep=False)
        meters = [cpu_meter(self.device) for _ in range(3)]
        for _ in range(self.repeats + 1):
            judge.run(lm, noise, frames, *meters)
        turns, scored, judged = (torch.tensor(one.readings[1:]) for one in meters)
        whole, added = turns + scored, judged - scored
        shares = (added / whole).tolist()
        return {
            "visual_tokens": tokens,
            "clips_together": chain.CLIPS,
            "readings": len(shares),
            "chain_s": round(median(whole.tolist()), 3),
            "judge_s": round(median(added.tolist()), 3),
            "judge_share": round(median(shares), 3),
            "judge_share_spread": [round(min(shares), 3), round(max(shares), 3)],
        }

    def losses(self, tokens: int, count: int) -> dict[str, Any]:
        """The losses of both over optimizer steps from the same adapter, on pairs that differ from step to step."""
        noise, frames = clip(tokens)
        steps = [questions(100 + index) for index in range(count)]
        lm = self.load(tokens, checkpointing=True)
        watch = Stopwatch(self.device)
        theirs = self.train_trl(lm, frames, steps, True, "video", watch)
        ours = step.train(lm, noise, frames, steps, LR, watch)
        apart = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
        return {"visual_tokens": tokens, "savi": ours, "trl": theirs, "steps": count, "largest_difference": apart}

    def parts(self, tokens: int, folder: Path) -> dict[str, Any]:
        """Seconds a clip by part of a round; on a GPU also the peak of memory above the resident model, in MiB."""
        lm = self.load(tokens, checkpointing=True)
        watches = time_parts(lm, tokens, self.device, folder)
        row: dict[str, Any] = {"visual_tokens": tokens}
        for part, watch in watches.items():
            # The first clip pays for what is loaded and compiled once.
            row[part] = round(mean(watch.readings[1:]), 4)
        for part, watch in watches.items():
            if watch.peaks.readings:
                row[f"{part}_mib"] = round(max(watch.peaks.readings), 1)
        if self.device == "cuda":
            row["resident_mib"] = round(torch.cuda.memory_allocated() / 2**20, 1)
        return row

    def own_pairs(self, tokens: int, clips: int, folder: Path) -> dict[str, Any]:
        """A file of pairs about `clips` filmed clips, read and learned once, with decoding and every pass counted."""
        lm = self.load(tokens, checkpointing=True)
        sized = folder / "sized"
        shutil.copytree(self.folder, sized)
        lm.processor.save_pretrained(sized)  # with the frames' size, which savi's own processes read from here
        videos = []
        for index in range(clips):
            noise, frames = clip(tokens, seed=index)
            videos.append(folder / noise.path.name)
            film(videos[-1], frames)
        work = own_pairs.Workload(
            base=str(sized),
            lora=LoraSettings(),
            videos=videos,
            pairs_per_step=2 * own_pairs.PAIRS,
            steps=clips,
            lr=LR,
            checkpointing=True,
        )
        return {"date": time.strftime("%Y-%m-%d"), "visual_tokens": tokens, **own_pairs.compare(work, folder)}

    def states(self, tokens: int, checkpointing: bool, folder: Path) -> dict[str, Any]:
        """A step of a random Qwen3.5 that shares its clip through states, and one with a row for each response."""
        base = folder / "qwen3_5"
        if not base.is_dir():
            states.build(base)
        return states.compare(base, tokens, checkpointing, self.repeats, self.device)

    def load(self, tokens: int, checkpointing: bool, keep: bool = True) -> VideoLM:
        return load(self.shape, self.folder, tokens, checkpointing, self.device, keep)

    def _timed_trl(self, lm: VideoLM, frames: Any, steps: Any, checkpointing: bool, way: str) -> Stopwatch:
        watch = Stopwatch(self.device)
        self.train_trl(lm, frames, steps, checkpointing, way, watch)
        return watch

    def train_trl(
        self, lm: VideoLM, frames: Any, steps: Any, checkpointing: bool, way: str, watch: Meter
    ) -> list[float]:
        """TRL's steps on a clip's pairs; the loss of each."""
        from tools.bench import peer_trl  # not at the top: without peers the benchmark runs where TRL isn't installed

        return peer_trl.train(lm, self.shape, self.folder, frames, steps, LR, checkpointing, way == "images", watch)

    def _memory(self, tokens: int, checkpointing: bool, ours: Stopwatch, theirs: Stopwatch) -> dict[str, Any]:
        """Peak MiB above the resident model, and ours as a share of TRL's."""
        if self.device == "cuda":
            mine, trl = max(ours.peaks.readings), max(theirs.peaks.readings[1:])
        else:
            mine, trl = (
                memory.measure(side, self.name, tokens, checkpointing, self.device, self.folder)
                for side in ("savi", "trl")
            )
        return {"memory_mib": round(mine, 1), "trl_memory_mib": round(trl, 1), "memory_ratio": round(mine / trl, 3)}


def ratio_of(name: str, theirs: Sequence[float], ours: Sequence[float]) -> dict[str, Any]:
    """Of medians, and the least and the most that single readings would give."""
    spread = [round(min(theirs) / max(ours), 2), round(max(theirs) / min(ours), 2)]
    return {f"ratio_{name}": round(median(theirs) / median(ours), 2), f"ratio_{name}_spread": spread}
