"""TRL's DPOTrainer as a skilled user runs it: what doesn't change with the adapter is computed once.

The reference's log-probabilities come first (`precompute_ref_log_probs`). A clip goes through the processor and through
the vision tower once, whose outputs are kept. Everything counts, each part for the clip that it is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import torch
from datasets import Dataset, disable_progress_bars
from torch import Tensor
from transformers import PreTrainedModel, PrinterCallback
from transformers.modeling_outputs import BaseModelOutputWithPooling

from savi.inference import ScoreRequest
from savi.models.adapters import LoraSettings
from savi.models.load import load_base
from savi.models.video_lm import VideoLM
from savi.types import Frames
from tools.bench.meters import Meter, cpu_meter
from tools.bench.peer_trl import Metered, Recorded, VideoCollator, arguments, copy_adapter, lora_config, step_losses
from tools.bench.workload import Shape, settings


class Ledger:
    """seconds: of each clip, added up over all that is done with it."""

    def __init__(self, device: str, clips: int) -> None:
        self.device = device
        self.seconds = [0.0] * clips

    @contextmanager
    def of(self, clip: int) -> Iterator[None]:
        meter = cpu_meter(self.device)
        with meter:
            yield
        self.seconds[clip] += meter.readings[0]


class KeptFeatures:
    """Takes the place of the model's `get_video_features`: each clip goes through the vision tower once.

    pixels: the processor's own for each clip, with its grid. What a batch has in their place are the clips' numbers.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.compute = model.model.get_video_features
        self.pixels: dict[int, tuple[Tensor, Tensor]] = {}
        self._kept: dict[int, Tensor] = {}

    def __call__(self, pixel_values_videos: Tensor, *_: Any, **__: Any) -> BaseModelOutputWithPooling:
        clips = pixel_values_videos[:, 0].tolist()
        for clip in clips:
            if clip not in self._kept:
                with torch.no_grad():
                    self._kept[clip] = self.compute(*self.pixels[clip], return_dict=True).pooler_output[0]
        return BaseModelOutputWithPooling(pooler_output=tuple(self._kept[clip] for clip in clips))


class KeptCollator(VideoCollator):
    """Reads each clip once. A row's text is tokenized alone, and its placeholder repeated for the visual tokens.

    questions: of all rows. A question's clip is an index into the frames.
    """

    def __init__(
        self,
        lm: VideoLM,
        frames: Sequence[Frames],
        questions: Sequence[ScoreRequest],
        kept: KeptFeatures,
        ledger: Ledger,
    ) -> None:
        super().__init__(lm, frames.__getitem__)
        self.questions = questions
        self.kept = kept
        self.ledger = ledger
        self._first: dict[int, dict[str, Tensor]] = {}

    def __call__(self, examples: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        questions = [self.questions[example["row"]] for example in examples]
        with self.ledger.of(questions[0].clip):
            batch = super().__call__([{"question": question} for question in questions])
        names = ("ref_chosen_logps", "ref_rejected_logps")
        return batch | {
            name: torch.tensor([example[name] for example in examples]) for name in names if name in examples[0]
        }

    def inputs(self, text: str, clip: int) -> dict[str, Tensor]:
        if clip not in self._first:
            first = super().inputs(text, clip)
            device = self.lm.device
            self.kept.pixels[clip] = first.pop("pixel_values_videos").to(device), first["video_grid_thw"].to(device)
            self._first[clip] = first | {"pixel_values_videos": torch.tensor([[clip]])}
        first = self._first[clip]
        visual = self.lm.processor.tokenizer.convert_tokens_to_ids(self.lm.family.video_token(self.lm.processor))
        ids = self.lm.processor.tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
        count = int((first["input_ids"] == visual).sum())
        ids = ids.repeat_interleave(torch.where(ids[0] == visual, count, 1), dim=1)
        types = torch.where(ids == visual, first["mm_token_type_ids"].max(), 0)
        return first | {"input_ids": ids, "attention_mask": torch.ones_like(ids), "mm_token_type_ids": types}


class _Skilled(Recorded):
    """clips: of each row, in their order."""

    def __init__(self, ledger: Ledger, clips: Sequence[int], **given: Any) -> None:
        self.ledger = ledger
        self.clips = iter(clips)
        super().__init__(**given)  # computes the reference's log-probabilities

    def compute_ref_log_probs(self, model: Any, inputs: Any) -> Any:
        with self.ledger.of(next(self.clips)):
            return super().compute_ref_log_probs(model, inputs)


def train(
    lm: VideoLM,
    shape: Shape,
    folder: Path,
    frames: Sequence[Frames],
    steps: Sequence[Sequence[ScoreRequest]],
    lr: float,
    checkpointing: bool,
) -> tuple[list[float], list[float]]:
    """Train a model of TRL's own, a step per clip, from the adapter that `lm` has. A pair per batch, accumulated.

    steps: the questions about each clip, whose numbers they have. Returns the seconds of each clip, all passes
    counted, and the loss of each step.
    """
    disable_progress_bars()
    base_settings = settings(shape, folder, checkpointing=False)
    base = load_base(base_settings)
    base.model.set_attn_implementation("sdpa")
    base.model.to(lm.device)
    kept = base.model.model.get_video_features = KeptFeatures(base.model)
    questions = [question for step in steps for question in step]
    ledger, meter = Ledger(lm.device.type, len(steps)), cpu_meter(lm.device.type)
    # TRL keeps what it has computed on disk, under a digest of the rows: those of another run don't count.
    row = {"prompt": "a", "chosen": "b", "rejected": "c", "run": uuid4().hex}
    size = len(steps[0])
    with TemporaryDirectory() as output:
        more = {"precompute_ref_log_probs": True}
        trainer = _Skilled(
            ledger,
            [question.clip for question in questions],
            model=base.model,
            args=arguments(output, base_settings, lm, len(steps), size, lr, checkpointing, **more),
            train_dataset=Dataset.from_list([row | {"row": number} for number in range(len(questions))]),
            processing_class=lm.processor,
            peft_config=lora_config(base.family, LoraSettings()),
            data_collator=KeptCollator(lm, frames, questions, kept, ledger),
            callbacks=[Metered(meter)],
        )
        trainer.remove_callback(PrinterCallback)
        copy_adapter(lm, trainer.model)
        trainer.losses = []
        trainer.train()
    seconds = [once + step for once, step in zip(ledger.seconds, _by_step(meter, len(steps)), strict=True)]
    return seconds, step_losses(trainer.losses, size)


def _by_step(meter: Meter, steps: int) -> list[float]:
    if len(meter.readings) != steps:
        raise RuntimeError(f"{len(meter.readings)} steps were taken, not {steps}")
    return meter.readings
