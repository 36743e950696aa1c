"""A model type that savi has no record of: its properties, read off the model and the processor, and a warning."""

from __future__ import annotations

import inspect
import warnings
from dataclasses import replace

import torch
import transformers
from torch import nn
from transformers import AutoModelForImageTextToText, PreTrainedConfig, ProcessorMixin
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING_NAMES
from transformers.models.auto.video_processing_auto import VIDEO_PROCESSOR_MAPPING_NAMES

from savi.models.family import Family
from savi.models.trial import trial_frames
from savi.types import SaviError

ROUTERS = {"gate", "router"}
"""Names of layers that choose experts: to tune them would change which ones, and in four bits they'd choose others."""


def refusal(config: PreTrainedConfig) -> str | None:
    """What keeps savi from training a configuration's type at all, as a relative clause; None if nothing does."""
    model_type = config.model_type
    processor = getattr(transformers, PROCESSOR_MAPPING_NAMES.get(model_type) or "", None)
    takes = processor is not None and "video_processor" in inspect.signature(processor.__init__).parameters
    if not takes and model_type not in VIDEO_PROCESSOR_MAPPING_NAMES:
        return "which takes no video"
    if model_type not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES:
        return "which has no image-text head in transformers"
    if processor is not None and not takes:
        return "whose processor takes images alone"
    if "diffusion" in model_type:
        return "which writes by diffusion, not token by token"
    return None


def generic_family(config: PreTrainedConfig, processor: ProcessorMixin, chat: str) -> Family:
    """A family for an unknown type, its decoder found by building the model without weights. Warns what it lacks.

    chat: a text with one video. Raises SaviError where no decoder is to be found, and for a processor that can't read
    frames.
    """
    model_type = config.model_type
    try:
        with torch.device("meta"):
            model = AutoModelForImageTextToText.from_config(config)
        decoder = next(name for name, module in model.named_modules() if module is model.get_decoder())
    except (ValueError, StopIteration):
        raise SaviError(f"model.base.path: type {model_type!r} has no decoder that savi can find") from None
    except ImportError as error:
        needed = str(error).strip().partition("\n")[0]
        raise SaviError(f"model.base.path: type {model_type!r} needs a package: {needed}") from None
    parent = decoder.rpartition(".")[0]
    around = [f"{parent}.{name}" for name, _ in model.get_submodule(parent).named_children()]
    warnings.warn(
        f"savi has no family for {model_type!r}: what it knows of the type is read off the model, and no test has run "
        "on it",
        stacklevel=2,
    )
    unquantized = (*(name for name in around if name != decoder), "lm_head")
    modules = model.get_submodule(decoder)
    family = Family(model_type, unquantized, decoder, linear=linear_names(modules), experts=expert_names(modules))
    try:
        row = family.video_inputs(processor, chat, trial_frames())
    except (ValueError, TypeError, IndexError, RuntimeError, AttributeError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise SaviError(f"model.base.path: the processor of type {model_type!r} reads no frames: {reason}") from None
    # A few frames tell which token the processor writes: some write a video as images.
    for visual in ("video_token", "image_token"):
        token = processor.tokenizer.convert_tokens_to_ids(getattr(processor, visual, ""))
        if (row["input_ids"] == token).sum() > 1:
            return replace(family, visual=visual)
    return replace(family, visual=None)


def linear_names(decoder: nn.Module) -> tuple[str, ...]:
    """The last names of a decoder's linear layers, in alphabetical order, without those that choose experts."""
    return tuple(
        sorted(
            {
                name.rpartition(".")[2]
                for name, module in decoder.named_modules()
                if isinstance(module, nn.Linear) and module.out_features > 1 and not ROUTERS & set(name.split("."))
            }
        )
    )


def expert_names(decoder: nn.Module) -> tuple[str, ...]:
    """The last names, with their module's, of the parameters that hold all routed experts of a layer."""
    fused = {name for name, weight in decoder.named_parameters() if weight.ndim == 3 and "experts" in name.split(".")}
    return tuple(sorted({".".join(name.split(".")[-2:]) for name in fused}))
