"""From a checkpoint's name to a frozen model, its processor and its family, or one line that says why not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from bitsandbytes.nn import Linear4bit
from torch import nn
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, BitsAndBytesConfig

from savi.models.family import Family
from savi.models.qwen2_5_vl import Qwen25VL
from savi.types import SaviError
from savi.world import BASE

FAMILIES: dict[str, Family] = {family.model_type: family for family in (Qwen25VL(),)}


@dataclass(frozen=True)
class BaseSettings:
    """The base model.

    path: a folder or hub name of a Hugging Face checkpoint, or "world" for the embedded miniature.
    nf4: hold the language model's linear layers in 4-bit NormalFloat, doubly quantised (Dettmers et al. 2023).
    gradient_checkpointing: recompute the decoder's activations in the backward pass.
    """

    path: str = "world"
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    nf4: bool = False
    gradient_checkpointing: bool = False
    trust_remote_code: bool = False


@dataclass(frozen=True)
class LoadedBase:
    model: nn.Module
    processor: Any
    family: Family


def load_base(settings: BaseSettings) -> LoadedBase:
    """Load a base model, frozen and in evaluation mode.

    Raises SaviError for a path that doesn't exist, a checkpoint that isn't one, and a type savi has no family for.
    """
    path = str(BASE) if settings.path == "world" else settings.path
    family = find_family(path, settings.trust_remote_code)
    dtype = getattr(torch, settings.dtype)
    options: dict[str, Any] = {
        "dtype": dtype,
        "attn_implementation": "sdpa",
        "trust_remote_code": settings.trust_remote_code,
    }
    if settings.nf4:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
            llm_int8_skip_modules=list(family.unquantised),
        )
    try:
        processor = AutoProcessor.from_pretrained(path, trust_remote_code=settings.trust_remote_code)
        model = AutoModelForImageTextToText.from_pretrained(path, **options)
    except (OSError, ValueError) as error:
        raise SaviError(f"model.base.path: {settings.path} could not be loaded: {_first_line(error)}") from None
    if settings.nf4:
        _keep_canonical_layout(model)
    model.requires_grad_(False)
    model.eval()
    if settings.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return LoadedBase(model, processor, family)


def find_family(path: str, trust_remote_code: bool = False) -> Family:
    """The family of a checkpoint, by its configuration's model type."""
    if path.startswith((".", "/", "~")) and not (Path(path).expanduser() / "config.json").is_file():
        raise SaviError(f"model.base.path: {path} is not a model folder (it has no config.json)")
    try:
        config = AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        raise SaviError(f"model.base.path: {path} could not be read: {_first_line(error)}") from None
    family = FAMILIES.get(config.model_type)
    if family is None:
        known = ", ".join(sorted(FAMILIES))
        raise SaviError(
            f"model.base.path: {path} is of type {config.model_type!r}, which is no video-LLM savi knows ({known})"
        )
    return family


def _keep_canonical_layout(model: nn.Module) -> None:
    """Keep bitsandbytes from repacking 4-bit weights on a CPU with AVX512-BF16.

    It does so in evaluation mode, for good, with coarser scales, into a layout that has no backward pass: after the
    first evaluation such a layer would train without a gradient, and the reference would not be the same model.
    """
    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
