"""Teach the natural base: `python -m tools.natural_base.teach --work FOLDER`. Killed, it resumes to the bit.

1. The eyes alone, on sums of word embeddings (`eyes`). The tower then stays as it is.
2. LoRA and the connector, on lessons (`lessons`): one clip a step, each clip once.

curve.jsonl in the folder has the loss of each step, by kind of exchange.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, AutoProcessor

from savi.cache import cache_folder
from savi.errors import SaviError
from savi.files import replacing, write_text
from savi.types import derive_seed
from savi.world.scenes import make_scene, scene_seed
from tools.natural_base.beginning import begin
from tools.natural_base.build import untaught
from tools.natural_base.course import Course, adamw
from tools.natural_base.eyes import WordTargets, eye_loss
from tools.natural_base.film import film, pixels
from tools.natural_base.language import language_folder
from tools.natural_base.lessons import Prior, lesson
from tools.natural_base.pupil import Pupil
from tools.natural_base.taught import read_taught
from tools.one_line import one_line

SCENES = 3000
EYE_STEPS, EYE_CLIPS, EYE_RATE = 1000, 48, 3e-3
RATE, CONNECTOR_RATE = 1e-3, 3e-4
CACHE = cache_folder()
"""Folder of the converted language weights."""


class Classroom:
    """The folder of one base that is being taught: reel, checkpoints, curve, and the base as an ordinary folder.

    seed, prior, start: see `beginning.begin`. scenes: how many there are to teach with.
    """

    def __init__(
        self,
        work: Path,
        cache: Path = CACHE,
        seed: int | None = None,
        prior: float | None = None,
        start: Path | None = None,
        scenes: int = SCENES,
    ) -> None:
        work.mkdir(parents=True, exist_ok=True)
        self.work, self.begun = work, begin(work, seed, prior, start)
        self.seed = self.begun.seed
        self.base = work / "base"
        if not (self.base / "processor_config.json").exists():
            for part in untaught(language_folder(cache), self.seed):
                part.save_pretrained(self.base)
        self.scenes = [make_scene(scene_seed("base", self.seed, index)) for index in range(scenes)]
        self.processor = AutoProcessor.from_pretrained(self.base)

    def teach_eyes(self, steps: int, stopped: Callable[[], bool]) -> bool:
        """Stage 1, which a start has behind it. Returns whether it is done; its result is eyes.safetensors."""
        if self._there("eyes") or self._there("start"):
            return True
        reel = film(self.scenes, self.processor, self.work / "reel.npy")
        model = AutoModelForImageTextToText.from_pretrained(self.base)
        targets = WordTargets(model.get_input_embeddings().weight.data, self.processor.tokenizer)
        model.requires_grad_(False)
        eyes = ("model.vision_model.", "model.connector.")
        learned = {name: weight for name, weight in model.named_parameters() if name.startswith(eyes)}
        for weight in learned.values():
            weight.requires_grad_(True)
        course = Course(self.work / "eyes.pt", adamw([(learned.values(), EYE_RATE)]), learned)
        self._cut_curve("eyes", course.step)

        def learn(step: int) -> None:
            picked = self._clips("eyes", step, EYE_CLIPS)
            wanted = torch.stack([targets.of(self.scenes[index]) for index in picked])
            loss = eye_loss(model, pixels(reel[picked], self.processor), wanted)
            loss.backward()
            self._note("eyes", step, {"loss": round(loss.item(), 4)})

        if done := course.run(steps, learn, stopped):
            with replacing(self.work / "eyes.safetensors") as unfinished:
                save_file({name: weight.data for name, weight in learned.items()}, unfinished)
        return done

    def pupil(self) -> Pupil:
        """The base as the second stage begins: with taught eyes and LoRA that has learned nothing, or as its start.

        Raises SaviError while eyes are taught.
        """
        pupil = Pupil(self.base, self.seed)
        if start := self._there("start"):
            read_taught(pupil, start)
        elif eyes := self._there("eyes"):
            pupil.model.load_state_dict(load_file(eyes), strict=False)
        else:
            raise SaviError(f"{self.work}: the eyes are not taught to the end yet")
        return pupil

    def teach_language(self, clips: int, stopped: Callable[[], bool], until: int | None = None) -> bool:
        """Stage 2. until: the clip to stop after, if the course is not to be run to its end. Returns whether it is
        done."""
        reel = film(self.scenes, self.processor, self.work / "reel.npy")
        pupil = self.pupil()
        course = self._language_course(pupil)
        self._cut_curve("language", course.step)
        prior = Prior(self.seed, self.begun.prior)

        def learn(step: int) -> None:
            nats: dict[str, list[float]] = defaultdict(list)
            (index,) = self._clips("language", step, 1)
            exchanges = lesson(self.scenes[index], prior, Random(derive_seed("lesson", self.seed, step, index)))
            tokens = pupil.watch(pixels(reel[[index]], self.processor))
            logps, lengths = pupil.logps(tokens[0], exchanges)
            (-logps.sum() / lengths.sum()).backward()
            for exchange, logp in zip(exchanges, logps.tolist(), strict=True):
                nats[exchange.kind].append(-logp)
            means = {kind: round(sum(values) / len(values), 3) for kind, values in sorted(nats.items())}
            self._note("language", step, {"nats": means})

        last = clips if until is None else until
        course.run(clips, learn, lambda: stopped() or course.step >= last)
        return course.step >= last

    def measured_pupil(self) -> tuple[Pupil, int]:
        """The base as it is by now, with the moving average of what it learned, and the clips that are done."""
        pupil = self.pupil()
        course = self._language_course(pupil)
        for name, weight in course.learned.items():
            weight.data.copy_(course.average[name])
        return pupil, course.step

    def _there(self, name: str) -> Path | None:
        path = self.work / f"{name}.safetensors"
        return path if path.exists() else None

    def _language_course(self, pupil: Pupil) -> Course:
        learned = pupil.learned()
        language = [weight for name, weight in learned.items() if name.startswith("language.")]
        connector = [weight for name, weight in learned.items() if name.startswith("connector.")]
        groups = [(language, RATE), (connector, CONNECTOR_RATE)]
        return Course(self.work / "language.pt", adamw(groups), learned)

    def _clips(self, stage: str, step: int, count: int) -> list[int]:
        """The scenes of a step: all of them come once before one comes again."""
        total, places = len(self.scenes), range(step * count, (step + 1) * count)
        orders = {turn: list(range(total)) for turn in {place // total for place in places}}
        for turn, order in orders.items():
            Random(derive_seed(stage, self.seed, turn)).shuffle(order)
        return [orders[place // total][place % total] for place in places]

    def _note(self, stage: str, step: int, figures: dict[str, Any]) -> None:
        with (self.work / "curve.jsonl").open("a") as curve:
            seconds = round(time.process_time(), 1)
            curve.write(json.dumps({"stage": stage, "step": step, "cpu_seconds": seconds, **figures}) + "\n")

    def _cut_curve(self, stage: str, step: int) -> None:
        """Drop what a killed process noted behind its last checkpoint: those steps are taken again."""
        path = self.work / "curve.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        rows = [(line, json.loads(line)) for line in lines if line.endswith("\n")]
        write_text(path, "".join(line for line, row in rows if row["stage"] != stage or row["step"] < step))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.natural_base.teach", description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder to keep everything in, and to resume from")
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of the converted language weights")
    parser.add_argument(
        "--clips", type=int, default=SCENES, help="clips of the second stage, which its rate falls over"
    )
    parser.add_argument("--seed", type=int, help="of a new folder, 1 by default; a folder that was begun keeps its own")
    parser.add_argument(
        "--prior", type=float, help="what the language prior's probabilities are multiplied by, 1 by default"
    )
    parser.add_argument(
        "--start", type=Path, help="file of what was taught before, to teach on; the eyes stay as they are"
    )
    parser.add_argument("--until", type=int, help="clip of the second stage to stop after, by default the last one")
    options = parser.parse_args()
    if not 0 < (options.until or options.clips) <= options.clips:
        parser.error(
            f"--until {options.until} and --clips {options.clips}: at least one clip, at most all of the course"
        )
    torch.set_num_threads(1)
    asked_to_stop: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: asked_to_stop.append(received))
    print(f"process {os.getpid()}: SIGTERM saves and stops; the same command resumes", flush=True)

    def stopped() -> bool:
        return bool(asked_to_stop)

    room = Classroom(options.work, options.cache, options.seed, options.prior, options.start)
    done = room.teach_eyes(EYE_STEPS, stopped) and room.teach_language(options.clips, stopped, options.until)
    print("done" if done else "stopped", flush=True)


if __name__ == "__main__":
    one_line(main)
