"""From a checkpoint's name to a frozen model, its processor and its family, or one line that says why not."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
from packaging.version import Version
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    BitsAndBytesConfig,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    ProcessorMixin,
)

from savi.errors import SaviError, check_number
from savi.models.attention import TREE_ATTENTION
from savi.models.chat import Chat
from savi.models.families import FAMILIES
from savi.models.family import Family
from savi.models.generic import generic_family, refusal
from savi.models.hub import unread
from savi.models.last_layer import compute_wanted_rows
from savi.models.processors import load_processor, video_chat
from savi.models.states import hand_on_states
from savi.models.template import ChatTemplate
from savi.models.trial import tried_way
from savi.models.ways import Way, check_graphs, way_of
from savi.models.weights import weights_digest
from savi.world import BASE


@dataclass(frozen=True)
class BaseSettings:
    """The base model. It stays frozen: only the adapter learns."""

    path: str = "world"
    """Folder or hub name of a Hugging Face checkpoint, or `world` for the miniature that comes with savi."""

    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Precision that the base computes in, and is held in without nf4. The adapter learns in float32."""

    nf4: bool = False
    """QLoRA: hold the language model's linear layers in 4-bit NormalFloat, doubly quantized (Dettmers et al. 2023).
    A 7B model then fits a GPU of 24 GB."""

    thought_tokens: int | None = None
    """Most tokens of the thought before each reply of a checkpoint that can't be kept from thinking. A thought is kept
    in the traces, and is no part of an answer or a pair. 0: an empty thought. None: 1,024 for such a checkpoint."""

    gradient_checkpointing: bool = False
    """Compute the decoder's activations again in the backward pass: less memory, more time, the same result."""

    cuda_graphs: bool = False
    """Have a GPU write replies by a recorded step, a CUDA graph. It needs full attention in every layer. Not tried yet:
    `tools/bench/gpu.sh` says whether it is exact and faster. On a CPU the same steps run unrecorded and slower."""

    trust_remote_code: bool = False
    """Run Python code that the checkpoint brings along. Only the command line can say so, never a file."""

    def __post_init__(self) -> None:
        if self.thought_tokens is not None:
            check_number("model.base.thought_tokens", self.thought_tokens, least=0)

    def identity(self, fingerprint: str) -> list[object]:
        """What tells the frozen model from others in digests: its fingerprint, and how it computes."""
        thoughts = [] if self.thought_tokens is None else [self.thought_tokens]  # digests from before it have none
        return [fingerprint, self.dtype, self.nf4, *thoughts]


@dataclass(frozen=True)
class LoadedBase:
    """A base model, frozen and in evaluation mode, with what goes with it."""

    model: PreTrainedModel
    processor: ProcessorMixin
    family: Family
    way: Way
    """How the questions about a clip share it."""

    weights: str | None
    """See :func:`savi.models.weights.weights_digest`."""

    thought_tokens: int = 0
    """Most tokens of the thought before a reply; 0 for a checkpoint that doesn't think, or is kept from it."""

    cuda_graphs: bool = False
    """See :attr:`BaseSettings.cuda_graphs`."""


@dataclass(frozen=True)
class KnownBase:
    """What is known of a base before its weights are read. path: its folder or hub name."""

    path: str
    config: PreTrainedConfig
    processor: ProcessorMixin
    family: Family
    way: Way

    @property
    def chat(self) -> Chat:
        """Its chat, as the files tell it."""
        try:
            generation = GenerationConfig.from_pretrained(self.path)
        except OSError:
            generation = GenerationConfig.from_model_config(self.config)
        return Chat(self.processor, self.family, generation, rows=self.config.get_text_config().vocab_size)


def load_base(
    settings: BaseSettings,
    frames: int | None = None,
    max_pixels: int | None = None,
    *,
    safetensors_only: bool = False,
    device: torch.device | None = None,
) -> LoadedBase:
    """Load a base model, frozen and in evaluation mode.

    frames: that each clip will have, None where nobody knows yet. max_pixels: a bound of each frame that is refused
    where the processor scales all frames to one size. safetensors_only: read no weights in any other format. Others are
    unpickled, though never into more than tensors. device: where the weights go. None: the host, or under NF4 the GPU.

    Raises SaviError for a path that doesn't exist, a checkpoint that isn't one, a type that takes no video, a processor
    that can't put a video into a chat, too few frames for it, and a bound that would scale frames down and up again.
    """
    known = load_known(settings, frames, max_pixels)
    family = known.family
    thought_tokens = ChatTemplate(known.processor).thought_tokens(settings.thought_tokens)
    dtype = getattr(torch, settings.dtype)
    options: dict[str, Any] = {
        "dtype": dtype,
        "trust_remote_code": settings.trust_remote_code,
        "use_safetensors": True if safetensors_only else None,
    }
    if device is not None:
        options["device_map"] = {"": device}
    if known.way.name != "plain":
        options["attn_implementation"] = "sdpa"
    if settings.nf4:
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
            llm_int8_skip_modules=list(family.unquantized),
        )
    try:
        model = AutoModelForImageTextToText.from_pretrained(known.path, **options)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # damaged weights raise whatever their reader makes of them
        raise unread(f"model.base.path: {settings.path} could not be loaded", known.path, error) from None
    if settings.nf4:
        _keep_canonical_layout(model)
    if known.way.name != "plain":
        family.language_model(model).set_attn_implementation(TREE_ATTENTION)
        compute_wanted_rows(family.language_model(model))
    if known.way.name == "state":
        hand_on_states(family.language_model(model))
    model.requires_grad_(False)
    model.eval()
    way = known.way
    if way.name != "plain" and family.model_type not in FAMILIES:
        way = tried_way(model, known.processor, family, way)
        if way.name == "plain":
            family.language_model(model).set_attn_implementation("sdpa")
        check_graphs(settings.cuda_graphs, way, known.config, settings.path)
    if settings.gradient_checkpointing:
        # The old name goes in transformers 6; the lowest version that savi takes knows no other.
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    weights = weights_digest(known.path)
    return LoadedBase(model, known.processor, family, way, weights, thought_tokens, settings.cuda_graphs)


def load_known(settings: BaseSettings, frames: int | None = None, max_pixels: int | None = None) -> KnownBase:
    """Read all of a base but its weights.

    Raises SaviError as load_base does.
    """
    path = str(BASE) if settings.path == "world" else _at_home(settings.path)
    config = read_config(path, settings.trust_remote_code)
    processor = load_processor(path, config, trust_remote_code=settings.trust_remote_code)
    chat = video_chat(processor, settings.path)
    family = FAMILIES.get(config.model_type) or generic_family(config, processor, chat)
    if family.least_transformers and Version(version("transformers")) < Version(family.least_transformers):
        raise SaviError(
            f"model.base.path: {settings.path} needs transformers {family.least_transformers} or higher: "
            f"{version('transformers')} doesn't encode clips for models of type {family.model_type} as it should"
        )
    if frames is not None and frames < family.least_frames:
        raise SaviError(
            f"data.frames must be at least {family.least_frames} for models of type {family.model_type} "
            f"({settings.path}), not {frames}"
        )
    if max_pixels is not None and family.own_size:
        raise SaviError(
            f"data.max_pixels must be null for models of type {family.model_type} ({settings.path}): they scale every "
            f"frame to a size of their own, so that frames of {max_pixels} pixels would only be less sharp"
        )
    way = way_of(config, family)
    check_graphs(settings.cuda_graphs, way, config, settings.path)
    return KnownBase(path, config, processor, family, way)


def _at_home(path: str) -> str:
    """The path with a leading ~ expanded; a hub's name, or a path that begins in another way, as it is."""
    return str(Path(path).expanduser()) if path.startswith("~") else path


def read_config(path: str, trust_remote_code: bool = False) -> PreTrainedConfig:
    """A checkpoint's configuration, if it is of a video-LLM; else SaviError."""
    if path.startswith((".", "/")) and not (Path(path) / "config.json").is_file():
        raise SaviError(f"model.base.path: {path} is not a model folder (it has no config.json)")
    try:
        config = AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code)
    except Exception as error:  # a damaged file raises whatever its reader makes of it
        if "trust_remote_code" in str(error):
            raise SaviError(
                f"model.base.path: {path} brings Python code of its own, and savi trains transformers' own classes: "
                f"take the converted checkpoint, which is mostly named {path.rstrip('/')}-hf"
            ) from None
        raise unread(f"model.base.path: {path} could not be read", path, error) from None
    if config.model_type not in FAMILIES and (reason := refusal(config)):
        raise SaviError(
            f"model.base.path: {path} is of type {config.model_type!r}, {reason} "
            f"(types that savi is tested with: {', '.join(sorted(FAMILIES))})"
        )
    return config


def _keep_canonical_layout(model: PreTrainedModel) -> None:
    """Keep bitsandbytes from repacking 4-bit weights on a CPU with AVX512-BF16.

    It does so in evaluation mode, for good, with coarser scales, into a layout that has no backward pass: after the
    first evaluation such a layer would train without a gradient, and the reference would not be the same model.
    """
    from bitsandbytes.nn import Linear4bit  # seconds, as it brings torch's compiler along

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False
