"""TRL's DPOTrainer on the same pairs: fed by a video collator (it has none), or with the frames as images (its own)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from datasets import Dataset, disable_progress_bars
from peft import LoraConfig
from PIL import Image
from torch import Tensor
from transformers import PrinterCallback, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from trl import DPOConfig, DPOTrainer
from trl.trainer.dpo_trainer import DataCollatorForVisionPreference

from savi.inference import ScoreRequest
from savi.models.adapters import LoraSettings
from savi.models.family import Family
from savi.models.load import BaseSettings, load_base
from savi.models.video_lm import VideoLM
from savi.types import Frames
from tools.bench.meters import Meter
from tools.bench.workload import Shape, settings


class VideoCollator:
    """Pairs to the batch that TRL's own collators make, chosen responses first, with the clip as a video.

    read: the frames of a clip: the question's, or that of a `rejected_clip` for the rejected response.
    """

    def __init__(self, lm: VideoLM, read: Callable[[int], Frames]) -> None:
        self.lm = lm
        self.read = read

    def __call__(self, examples: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
        lm = self.lm
        rows, responses = [], []
        for side in (0, 1):
            for example in examples:
                question: ScoreRequest = example["question"]
                clip = example.get("rejected_clip", question.clip) if side else question.clip
                rows.append(self.inputs(lm.chat.text(question.prompt), clip))
                responses.append(torch.tensor(lm.chat.response_ids(question.responses[side])))
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

    def inputs(self, text: str, clip: int) -> dict[str, Tensor]:
        """The processor's outputs for a chat about a clip."""
        return self.lm.family.video_inputs(self.lm.processor, text, self.read(clip))


def image_rows(lm: VideoLM, frames: Frames, questions: Sequence[ScoreRequest]) -> list[dict[str, Any]]:
    """The rows that TRL's own collator takes: every frame is an image with its own place in the prompt."""
    images = [Image.fromarray(frame.numpy()) for frame in frames.pixels]
    end = lm.processor.tokenizer.eos_token
    pictures = "<|vision_start|><|image_pad|><|vision_end|>" * len(images)
    rows = []
    for question in questions:
        clip = lm.chat.text(question.prompt).replace("<|vision_start|><|video_pad|><|vision_end|>", pictures)
        chosen, rejected = (response + end for response in question.responses)
        rows.append({"images": images, "prompt": clip, "chosen": chosen, "rejected": rejected})
    return rows


class Metered(TrainerCallback):
    """Around every optimizer step, without the making of its batch."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.meter.start()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.meter.stop()


class Recorded(DPOTrainer):
    """Keeps the loss of each pass."""

    losses: list[float]

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        loss = super().compute_loss(*args, **kwargs)
        self.losses.append((loss[0] if isinstance(loss, tuple) else loss).item())
        return loss


def train(
    lm: VideoLM,
    shape: Shape,
    folder: Path,
    frames: Frames,
    steps: Sequence[Sequence[ScoreRequest]],
    lr: float,
    checkpointing: bool,
    as_images: bool,
    meter: Meter,
) -> list[float]:
    """Train a model of TRL's own on one clip, from the adapter that `lm` has; the loss of each step."""
    questions = [question for step in steps for question in step]
    if as_images:
        rows, collate = image_rows(lm, frames, questions), DataCollatorForVisionPreference(lm.processor)
    else:
        rows, collate = [{"question": question} for question in questions], VideoCollator(lm, lambda _: frames)
    base = settings(shape, folder, checkpointing=False)
    return train_rows(lm, base, LoraSettings(), rows, collate, len(steps[0]), lr, checkpointing, meter)


def train_rows(
    lm: VideoLM,
    base_settings: BaseSettings,
    lora: LoraSettings,
    rows: Sequence[dict[str, Any]],
    collate: Callable[[Sequence[dict[str, Any]]], dict[str, Tensor]],
    size: int,
    lr: float,
    checkpointing: bool,
    meter: Meter,
) -> list[float]:
    """Train a model of TRL's own on rows in their order, from the adapter that `lm` has; the loss of each step.

    size: pairs of a step. A pair a batch, accumulated: on the machines tried the faster of its batchings, and the one
    that takes least memory.
    """
    disable_progress_bars()
    base = load_base(base_settings)
    base.model.set_attn_implementation("sdpa")
    base.model.to(lm.device)
    with TemporaryDirectory() as output:
        trainer = Recorded(
            model=base.model,
            args=arguments(output, base_settings, lm, -(-len(rows) // size), size, lr, checkpointing),
            # Tokenized by TRL as text, and not used: the collator below makes the batches.
            train_dataset=Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}] * len(rows)),
            processing_class=lm.processor,
            peft_config=lora_config(base.family, lora),
            callbacks=[Metered(meter)],
        )
        trainer.remove_callback(PrinterCallback)
        copy_adapter(lm, trainer.model)
        trainer.losses = []
        remaining = iter(rows)
        trainer.data_collator = lambda examples: collate([next(remaining) for _ in examples])
        trainer.train()
    return step_losses(trainer.losses, size)


def step_losses(losses: Sequence[float], size: int) -> list[float]:
    """The mean loss of each step from those of its passes. size: passes of a step."""
    steps = [losses[start : start + size] for start in range(0, len(losses), size)]
    return [sum(step) / len(step) for step in steps]


def arguments(
    output: str, base: BaseSettings, lm: VideoLM, steps: int, pairs: int, lr: float, checkpointing: bool, **more: Any
) -> DPOConfig:
    return DPOConfig(
        output_dir=output,
        max_steps=steps,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=pairs,
        gradient_checkpointing=checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        learning_rate=lr,
        lr_scheduler_type="constant",
        warmup_steps=0,
        max_grad_norm=0.0,
        beta=0.1,
        max_length=None,
        bf16=base.dtype == "bfloat16",
        use_cpu=lm.device.type == "cpu",
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        train_sampling_strategy="sequential",
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        **more,
    )


def lora_config(family: Family, ours: LoraSettings) -> LoraConfig:
    return LoraConfig(r=ours.r, lora_alpha=ours.alpha, target_modules=family.lora_targets, task_type="CAUSAL_LM")


def copy_adapter(lm: VideoLM, peft_model: Any) -> None:
    ours = {name: parameter for name, parameter in lm.peft_model.named_parameters() if parameter.requires_grad}
    for name, parameter in peft_model.named_parameters():
        if parameter.requires_grad:
            parameter.data.copy_(ours[name])
