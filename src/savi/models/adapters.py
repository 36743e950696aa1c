"""LoRA through PEFT: attached to the language model's linear layers, over weights that stay as they are."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from savi.errors import SaviError, check_number
from savi.models.family import Family

if TYPE_CHECKING:
    # It takes seconds, as it imports bitsandbytes, which brings torch's compiler along.
    from peft import LoraConfig, PeftModel

EXPERTS_SINCE = "0.19"
"""Version of peft since which the adapters of experts have today's shape."""


@dataclass(frozen=True)
class LoraSettings:
    """Low-rank adapters (Hu et al. 2021) on the language model's linear layers."""

    r: int = 16
    """Rank of the adapter's matrices: more ranks learn more and take more memory."""

    alpha: int = 32
    """The adapter's update is scaled by alpha / r."""

    dropout: float = 0.0
    """Probability with which an input of the adapter is set to zero in training. The default trains without dropout."""

    experts: bool = False
    """Tune the routed experts of a mixture too, each with matrices of its own. Without it they stay as they are, and
    attention, shared experts and dense layers learn. A pass then holds a layer's experts a second time."""

    def __post_init__(self) -> None:
        check_number("model.lora.r", self.r, least=1)
        check_number("model.lora.alpha", self.alpha, above=0)
        check_number("model.lora.dropout", self.dropout, least=0, below=1)
        if self.experts and self.dropout:
            raise SaviError("model.lora.dropout must be 0 with model.lora.experts: PEFT has none for routed experts")


def lora_config(family: Family, settings: LoraSettings) -> LoraConfig:
    """PEFT's configuration of the adapter. Raises SaviError for experts that a family doesn't have."""
    if settings.experts and not family.experts:
        raise SaviError(
            f"model.lora.experts: models of type {family.model_type} have no routed experts in one parameter; those in "
            "linear layers learn without it"
        )
    if settings.experts and Version(version("peft")) < Version(EXPERTS_SINCE):
        raise SaviError(
            f"model.lora.experts needs peft {EXPERTS_SINCE} or higher: {version('peft')} writes adapters of experts in "
            "another shape"
        )
    from peft import LoraConfig

    return LoraConfig(
        r=settings.r,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=family.lora_targets,
        target_parameters=list(family.experts) if settings.experts else None,
        task_type="CAUSAL_LM",
    )


def attach_lora(model: nn.Module, family: Family, settings: LoraSettings) -> PeftModel:
    """Wrap a model with a fresh adapter. Everything else is frozen; the adapter's weights are float32.

    Raises SaviError if no layer takes the adapter, for it would train nothing and look alive.
    """
    from peft import get_peft_model

    from savi.models.lora_layers import put_adapters_first

    config = lora_config(family, settings)
    put_adapters_first(config, nf4=getattr(model, "is_loaded_in_4bit", False))
    try:
        adapted = get_peft_model(model, config)
    except ValueError as error:
        raise SaviError(f"no layer of {type(model).__name__} takes LoRA: {error}") from None
    return adapted


def save_adapter(model: PeftModel, folder: Path) -> None:
    """Write an adapter as PEFT reads it. Each file in the folder is the old or the new one, also after a kill.

    Raises SaviError where there is no room.
    """
    scratch = folder.with_name(f"{folder.name}.tmp")
    try:
        shutil.rmtree(scratch, ignore_errors=True)
        model.save_pretrained(str(scratch))
        folder.mkdir(exist_ok=True)
        for file in scratch.iterdir():
            file.replace(folder / file.name)
        scratch.rmdir()
    except (OSError, SafetensorError) as error:
        shutil.rmtree(scratch, ignore_errors=True)
        reason = getattr(error, "strerror", None) or error
        raise SaviError(f"{folder}: the adapter can't be written: {reason}") from None


def load_lora(model: nn.Module, family: Family, settings: LoraSettings, weights: Path) -> PeftModel:
    """Wrap a model with the adapter of a safetensors file.

    PEFT's own loading would obey an adapter_config.json, which can name modules to import. Raises SaviError for a file
    that can't be read, or of an adapter of another shape.
    """
    from peft import get_peft_model_state_dict, set_peft_model_state_dict

    adapted = attach_lora(model, family, settings)
    try:
        state = load_file(weights)
    except (OSError, SafetensorError) as error:
        raise SaviError(f"{weights} can't be read: {error}") from None
    shapes = {name: value.shape for name, value in get_peft_model_state_dict(adapted).items()}
    if shapes != {name: value.shape for name, value in state.items()}:
        raise SaviError(f"{weights} is not an adapter of this model with r {settings.r}")
    set_peft_model_state_dict(adapted, state)
    return adapted


def trainable_state(module: nn.Module) -> dict[str, Tensor]:
    """The parameters that training moves, by name: the adapter's, never the base's."""
    trainable = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    return {name: value for name, value in nn.Module.state_dict(module).items() if name in trainable}
