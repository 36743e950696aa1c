"""TRL's DPOTrainer on the same pairs: fed by a video collator (it has none), or with the frames as images (its own)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import DPOConfig, DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

from bench.workload import Shape, settings
from savi.models.adapters import LoraSettings
from savi.models.load import load_base
from savi.models.video_lm import VideoLM
from savi.types import Frames, Question


class VideoCollator:
    """Pairs to the batch that TRL's own collators make, chosen responses first, with the clip as a video."""

    def __init__(self, lm: VideoLM, frames: Frames, questions: Sequence[Question]) -> None:
        self.lm = lm
        self.frames = frames
        self.questions = questions

    def __call__(self, examples: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        lm = self.lm
        pairs = [self.questions[example["index"]] for example in examples]
        rows, responses = [], []
        for side in (0, 1):
            for question in pairs:
                rows.append(lm.family.video_inputs(lm.processor, lm._chat(question.prompt), self.frames))
                responses.append(torch.tensor(lm._response_ids(question.responses[side])))
        text: dict[str, list[Tensor]] = {}
        for row, response in zip(rows, responses, strict=True):
            nothing = torch.zeros_like(response)
            behind = {"input_ids": response, "attention_mask": nothing + 1, "mm_token_type_ids": nothing}
            for name, ids in behind.items():
                text.setdefault(name, []).append(torch.cat([row.pop(name)[0], ids]))
            prompt_length = len(text["input_ids"][-1]) - len(response)
            completion = torch.cat([torch.zeros(prompt_length, dtype=torch.int64), nothing + 1])
            text.setdefault("completion_mask", []).append(completion)
        pad_id = lm.processor.tokenizer.pad_token_id
        batch = {
            name: torch.nn.utils.rnn.pad_sequence(parts, True, pad_id if name == "input_ids" else 0)
            for name, parts in text.items()
        }
        return batch | {name: torch.cat([row[name] for row in rows]) for name in rows[0]}


def image_rows(
    lm: VideoLM, frames: Frames, questions: Sequence[Question], order: Sequence[int]
) -> list[dict[str, Any]]:
    """The rows that TRL's own collator takes: every frame is an image with its own place in the prompt."""
    images = [to_pil_image(frame.permute(2, 0, 1)) for frame in frames.pixels]
    end = lm.processor.tokenizer.eos_token
    picture = "<|vision_start|><|image_pad|><|vision_end|>"
    rows = []
    for index in order:
        question = questions[index]
        clip = lm._chat(question.prompt).replace("<|vision_start|><|video_pad|><|vision_end|>", picture * len(images))
        chosen, rejected = (response + end for response in question.responses)
        rows.append({"images": images, "prompt": clip, "chosen": chosen, "rejected": rejected})
    return rows


class _Stopwatch(TrainerCallback):
    """Seconds of every optimiser step, without the making of its batch."""

    def __init__(self, synchronise: Any) -> None:
        self.seconds: list[float] = []
        self.synchronise = synchronise

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.synchronise()
        self.started = time.perf_counter()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.synchronise()
        self.seconds.append(time.perf_counter() - self.started)


class _Recorded(DPOTrainer):
    losses: list[float]

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        loss = super().compute_loss(*args, **kwargs)
        self.losses.append((loss[0] if isinstance(loss, tuple) else loss).item())
        return loss


def train(
    shape: Shape,
    folder: Path,
    work: Path,
    lm: VideoLM,
    frames: Frames,
    questions: Sequence[Question],
    steps: int,
    lr: float,
    pairs_per_batch: int,
    checkpointing: bool,
    as_images: bool,
    synchronise: Any,
) -> tuple[list[float], list[float]]:
    """Train over the pairs in order, len(questions) / steps pairs a step: seconds and the loss of each step."""
    base = load_base(settings(shape, folder, checkpointing=False))
    base.model.to(lm.device)
    lora = LoraSettings()
    pairs_per_step = len(questions) // steps
    order = list(range(len(questions)))
    rows = image_rows(lm, frames, questions, order) if as_images else [{"index": i} for i in order]
    collate = DataCollatorForVisionPreference(lm.processor) if as_images else VideoCollator(lm, frames, questions)
    dummy = [{"prompt": "a", "chosen": "b", "rejected": "c", "index": i} for i in order]
    watch = _Stopwatch(synchronise)
    trainer = _Recorded(
        model=base.model,
        args=DPOConfig(
            output_dir=str(work),
            max_steps=steps,
            per_device_train_batch_size=pairs_per_batch,
            gradient_accumulation_steps=pairs_per_step // pairs_per_batch,
            gradient_checkpointing=checkpointing,
            gradient_checkpointing_kwargs={"use_reentrant": False},
            learning_rate=lr,
            lr_scheduler_type="constant",
            warmup_steps=0,
            max_grad_norm=0.0,
            beta=0.1,
            max_length=None,
            bf16=shape.dtype == "bfloat16",
            use_cpu=lm.device.type == "cpu",
            remove_unused_columns=False,
            dataloader_pin_memory=False,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            train_sampling_strategy="sequential",
        ),
        train_dataset=Dataset.from_list(dummy),
        processing_class=lm.processor,
        peft_config=LoraConfig(
            r=lora.r, lora_alpha=lora.alpha, target_modules=base.family.lora_targets, task_type="CAUSAL_LM"
        ),
        callbacks=[watch],
    )
    trainer.losses = []
    adapter = {n.removeprefix("base_model."): p for n, p in lm.peft_model.named_parameters() if p.requires_grad}
    for name, parameter in trainer.model.named_parameters():
        if parameter.requires_grad:
            parameter.data.copy_(adapter[name.removeprefix("base_model.")])
    trainer.data_collator = lambda examples: collate([rows[example["index"]] for example in examples])
    trainer.train()
    per_step = pairs_per_step // pairs_per_batch
    losses = [sum(trainer.losses[i : i + per_step]) / per_step for i in range(0, len(trainer.losses), per_step)]
    return watch.seconds, losses
