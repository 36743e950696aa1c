"""A model type that savi has no record of: its properties, read off the model itself, and a warning."""

from __future__ import annotations

import warnings
from dataclasses import replace

import torch
from transformers import AutoModelForImageTextToText, PreTrainedConfig, ProcessorMixin
from transformers.models.auto.video_processing_auto import VIDEO_PROCESSOR_MAPPING_NAMES

from savi.models.family import Family
from savi.types import Frames, SaviError


def takes_video(config: PreTrainedConfig) -> bool:
    """Whether transformers knows a video processor for a configuration's type."""
    return config.model_type in VIDEO_PROCESSOR_MAPPING_NAMES


def generic_family(config: PreTrainedConfig, processor: ProcessorMixin, chat: str) -> Family:
    """A family for an unknown type, its decoder found by building the model without weights. Warns what it lacks.

    chat: a text with one video. Raises SaviError where no decoder or no visual token is to be found.
    """
    model_type = config.model_type
    try:
        with torch.device("meta"):
            model = AutoModelForImageTextToText.from_config(config)
        decoder = next(name for name, module in model.named_modules() if module is model.get_decoder())
    except (ValueError, StopIteration):
        raise SaviError(f"model.base.path: type {model_type!r} has no decoder that savi can find") from None
    parent = decoder.rpartition(".")[0]
    around = [f"{parent}.{name}" for name, _ in model.get_submodule(parent).named_children()]
    warnings.warn(
        f"savi has no family for {model_type!r}: its clips are laid out as the model's own forward does it, but no "
        "test has compared its packed scores with plain ones, and LoRA takes only layers with the usual names",
        stacklevel=2,
    )
    unquantized = (*(name for name in around if name != decoder), "lm_head")
    family = Family(model_type, unquantized, decoder)
    # A few frames tell which token the processor writes: some write a video as images.
    tried = torch.arange(8 * 64 * 64 * 3).remainder(251).to(torch.uint8).view(8, 64, 64, 3)
    seconds = tuple(index / 4 for index in range(8))
    row = family.video_inputs(processor, chat, Frames(tried, seconds, tuple(range(8)), fps=4.0, duration=2.0))
    for visual in ("video_token", "image_token"):
        token = processor.tokenizer.convert_tokens_to_ids(getattr(processor, visual))
        if (row["input_ids"] == token).sum() > 1:
            return replace(family, visual=visual)
    raise SaviError(f"model.base.path: the processor of type {model_type!r} writes no token for a visual feature")
