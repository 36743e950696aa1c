"""`make base`: teach the miniature base model from scratch, in three stages, deterministic from its seed.

1. The vision tower on dense labels: what each visual token shows (color, shape, position, size). Perception.
2. Captions, every object in order of appearance. Perception.
3. The exchanges of the critique chain, all mixed: ask, answer, criticize, revise. The answers carry a language prior
   (`curriculum.Prior`) from their first example on: no stage has ever seen a better answerer.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from savi.types import derive_seed
from savi.video.sampling import midpoint_indices
from savi.world import BASE
from savi.world.render import SIZE, centre, changed, radius
from savi.world.scenes import COLORS, FRAMES, PLACES, SHAPES, Scene, make_scene, scene_seed
from tools.base_model.build import SIZES, Size, build_model, build_processor, build_tokenizer
from tools.base_model.card import model_card
from tools.base_model.curriculum import Prior, captions, exchanges, words
from tools.base_model.frames import SAMPLED, film
from tools.base_model.measure import measure
from tools.base_model.packed_rows import Page, Typesetter, patches, read, see

SCENES = 6000
WARMUP = 40
KINDS = ("usual", "small", "large", "weak")
"""Of bases: small and large have other language models, weak is the usual one with its third stage cut short, so that
its critic is hardly better than its answers. What a study needs besides the usual ones."""
MEASURED = 200
"""Development scenes that the numbers of the model card come from."""


class Lecture:
    """What every stage needs: the model, its processor, the scenes and their film."""

    def __init__(self, seed: int, folder: Path, size: Size) -> None:
        self.seed = seed
        tokenizer = build_tokenizer(words())
        self.processor: Qwen2_5_VLProcessor = build_processor(tokenizer)
        self.model: Qwen2_5_VLForConditionalGeneration = build_model(tokenizer, seed, size)
        self.scenes = [make_scene(scene_seed("base", seed, index)) for index in range(SCENES)]
        self.reel = self._film(folder / f"reel_{seed}.npy")

    def _film(self, path: Path) -> NDArray[np.uint8]:
        if not path.exists():
            print(f"rendering {SCENES} clips", flush=True)
            unfinished = path.with_suffix(".tmp")
            film(self.scenes, self.processor, unfinished)
            unfinished.replace(path)
        reel: NDArray[np.uint8] = np.load(path, mmap_mode="r")
        return reel

    def learn(
        self,
        stage: str,
        steps: int,
        rate: float,
        parameters: Iterable[nn.Parameter],
        clips: int,
        loss: Callable[[list[int], Random], dict[str, Tensor]],
    ) -> None:
        """AdamW, a short warm-up, then a cosine to a twentieth. The losses are summed, and printed now and then.

        loss: of the scenes with these indices, `clips` of them a step.
        """
        learned = list(parameters)
        optimizer = torch.optim.AdamW(learned, lr=rate, betas=(0.9, 0.95), weight_decay=0.01)
        random, started = Random(derive_seed("stage", self.seed, stage)), time.time()
        for step in range(steps):
            losses = loss(sorted(random.sample(range(SCENES), clips)), random)
            optimizer.zero_grad()
            sum(losses.values(), torch.zeros(())).backward()
            nn.utils.clip_grad_norm_(learned, 1.0)
            warm, done = min(1.0, (step + 1) / WARMUP), step / steps
            for group in optimizer.param_groups:
                group["lr"] = rate * warm * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done)))
            optimizer.step()
            if step % 20 == 0 or step == steps - 1:
                shown = " ".join(f"{name} {value.item():.3f}" for name, value in losses.items())
                print(f"{stage} {step}/{steps} {shown} {time.time() - started:.0f}s", flush=True)

    def watch(self, picked: Sequence[int]) -> Tensor:
        """Visual tokens of some scenes, (scenes, VISUAL_TOKENS, width)."""
        return see(self.model.model.visual, patches(self.processor, torch.from_numpy(self.reel[picked])))

    @cached_property
    def tokens(self) -> Tensor:
        """Visual tokens of all scenes. Good once the tower has been taught."""
        with torch.no_grad():
            return torch.cat([self.watch(range(at, at + 50)) for at in range(0, SCENES, 50)])


def teach_tower(lecture: Lecture, steps: int) -> None:
    """Stage 1. The probe that reads the labels off the tokens is thrown away afterwards."""
    sizes = [len(COLORS) + 2, len(SHAPES), len(PLACES), 3]
    probe = nn.Linear(lecture.model.config.text_config.hidden_size, sum(sizes))
    places = torch.arange(len(PLACES)).repeat(SAMPLED // 2)

    def loss(picked: list[int], random: Random) -> dict[str, Tensor]:
        color, shape, place, measure = probe(lecture.watch(picked)).flatten(0, 1).split(sizes, dim=-1)
        labels = [dense_labels(lecture.scenes[index]) for index in picked]
        colors, shapes, measures = (torch.cat(parts) for parts in zip(*labels, strict=True))
        there = shapes >= 0
        return {
            "color": F.cross_entropy(color, colors),
            "shape": F.cross_entropy(shape, shapes, ignore_index=-100),
            "place": F.cross_entropy(place, places.repeat(len(picked))),
            "measure": F.mse_loss(measure[there], measures[there]),
        }

    learned = [*lecture.model.model.visual.parameters(), *probe.parameters()]
    lecture.learn("tower", steps, 4e-3, learned, 64, loss)


def dense_labels(scene: Scene) -> tuple[Tensor, Tensor, Tensor]:
    """What each visual token shows: color (white, then nothing, at the end), shape (-100: none), and measures.

    int64 (VISUAL_TOKENS,), int64 (VISUAL_TOKENS,), float32 (VISUAL_TOKENS, 3): right, down, size, each about -1 to 1.
    """
    moments = midpoint_indices(FRAMES, SAMPLED)[1::2]
    colors = torch.full((len(moments), len(PLACES)), len(COLORS) + 1)
    shapes = torch.full((len(moments), len(PLACES)), -100)
    measures = torch.zeros(len(moments), len(PLACES), 3)
    for thing in scene.things:
        quarter = PLACES.index(thing.place)
        for moment, index in enumerate(moments):
            if index < thing.appears:
                continue
            white = thing.change == "turns white" and changed(thing, index) >= 0.5
            colors[moment, quarter] = len(COLORS) if white else COLORS.index(thing.color)
            shapes[moment, quarter] = SHAPES.index(thing.shape)
            x, y = centre(thing, index)
            quarters = (x / SIZE % 0.5 - 0.25, y / SIZE % 0.5 - 0.25)
            measures[moment, quarter] = torch.tensor(
                [quarters[0] / 0.1, quarters[1] / 0.1, radius(thing, index) / SIZE / 0.1 - 1]
            )
    return colors.flatten(), shapes.flatten(), measures.flatten(0, 1)


def teach_captions(lecture: Lecture, steps: int) -> None:
    """Stage 2. The tower is left as it is from here on: taught further, it lost sight of places and of motion."""
    typesetter = Typesetter(lecture.model, lecture.processor)

    def loss(picked: list[int], random: Random) -> dict[str, Tensor]:
        page = typesetter.set([captions(lecture.scenes[index]) for index in picked])
        return {"caption": reading_loss(lecture.model, lecture.tokens[picked], page)}

    lecture.learn("captions", steps, 2e-3, lecture.model.model.language_model.parameters(), 40, loss)


def teach_chain(lecture: Lecture, steps: int) -> None:
    """Stage 3."""
    typesetter, prior = Typesetter(lecture.model, lecture.processor), Prior(lecture.seed)

    def loss(picked: list[int], random: Random) -> dict[str, Tensor]:
        page = typesetter.set([exchanges(lecture.scenes[index], prior, random) for index in picked])
        return {"chain": reading_loss(lecture.model, lecture.tokens[picked], page)}

    lecture.learn("chain", steps, 2e-3, lecture.model.model.language_model.parameters(), 32, loss)


def reading_loss(model: Qwen2_5_VLForConditionalGeneration, tokens: Tensor, page: Page) -> Tensor:
    """Mean cross-entropy of the replies' tokens."""
    taught = page.targets >= 0
    logits = model.lm_head(read(model, tokens, page)[taught])
    return F.cross_entropy(logits, page.targets[taught])


STAGES = (("tower", teach_tower, 250), ("captions", teach_captions, 400), ("chain", teach_chain, 800))
WEAK_STEPS = 250
"""Of the weak base's third stage."""


def teach(lecture: Lecture, work: Path, kind: str) -> None:
    """All the stages. A stage whose checkpoint is in `work` already is not taught again."""
    for name, stage, steps in STAGES:
        weak = kind == "weak" and name == "chain"
        # A weak base is the usual one until its last stage.
        label = f"{kind}-{lecture.seed}" if weak or kind in SIZES else f"{lecture.seed}"
        checkpoint = work / f"{name}_{label}.pt"
        if not checkpoint.exists():
            stage(lecture, WEAK_STEPS if weak else steps)
            unfinished = checkpoint.with_suffix(".tmp")
            torch.save(lecture.model.state_dict(), unfinished)
            unfinished.replace(checkpoint)
        lecture.model.load_state_dict(torch.load(checkpoint))


def main() -> None:
    """Teach, measure, and save an ordinary Hugging Face folder with its model card."""
    parser = argparse.ArgumentParser(description="Teach the miniature base model from scratch.")
    parser.add_argument("--seed", type=int, default=1, help="1 makes the shipped base again")
    parser.add_argument("--kind", choices=KINDS, default="usual")
    parser.add_argument("--output", type=Path, default=BASE, help="folder of the finished model")
    parser.add_argument("--work", type=Path, help="keep the film and each stage here, to resume from after a kill")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("medium")  # products in bfloat16 where the CPU has them: twice as fast
    started = time.time()
    with TemporaryDirectory() as temporary:
        work: Path = arguments.work or Path(temporary)
        lecture = Lecture(arguments.seed, work, SIZES.get(arguments.kind, SIZES["medium"]))
        teach(lecture, work, arguments.kind)
    torch.set_float32_matmul_precision("highest")
    numbers = measure(lecture.model, lecture.processor, MEASURED)
    lecture.model.save_pretrained(arguments.output)
    lecture.processor.save_pretrained(arguments.output)
    parameters = sum(weights.numel() for weights in lecture.model.parameters())
    card = model_card(arguments.seed, arguments.kind, parameters, numbers, MEASURED, time.time() - started)
    (arguments.output / "README.md").write_text(card)
    print(f"{arguments.output}: " + ", ".join(f"{name} {value:.3f}" for name, value in numbers.items()))


if __name__ == "__main__":
    main()
