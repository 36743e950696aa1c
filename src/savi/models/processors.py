"""A checkpoint's processor, or one line that says what is wrong with its files."""

from __future__ import annotations

import json
import warnings
from inspect import signature
from pathlib import Path

from transformers import (
    AutoImageProcessor,
    AutoProcessor,
    AutoTokenizer,
    PreTrainedConfig,
    ProcessorMixin,
)
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.models.auto.video_processing_auto import VIDEO_PROCESSOR_MAPPING
from transformers.utils import cached_file

from savi.errors import SaviError
from savi.models.hub import first_line, unread
from savi.models.template import ChatTemplate, user

IMAGE_FILE, VIDEO_FILE = "preprocessor_config.json", "video_preprocessor_config.json"


def load_processor(path: str, config: PreTrainedConfig, *, trust_remote_code: bool = False) -> ProcessorMixin:
    """The processor of a checkpoint. Where its video part is missing alone, it takes the values of the image part.

    Raises SaviError for files that are missing or no processor's.
    """
    try:
        try:
            return AutoProcessor.from_pretrained(path, trust_remote_code=trust_remote_code)
        except RecursionError:  # transformers looks for the class of a missing video processor in itself
            return _with_video_part(path, config)
    except Exception as error:  # a damaged file raises whatever its reader makes of it
        raise unread(f"model.base.path: {path} has no usable processor", path, error) from None


def _with_video_part(path: str, config: PreTrainedConfig) -> ProcessorMixin:
    """The processor of a checkpoint that was published before videos had a file of their own."""
    kind, video_kind = PROCESSOR_MAPPING[type(config)], _video_kind(config)
    values = json.loads(Path(cached_file(path, IMAGE_FILE)).read_text(encoding="utf-8"))
    own = {key: value for key, value in values.items() if hasattr(video_kind, key) and not key.endswith("_type")}
    parts = {
        "tokenizer": AutoTokenizer.from_pretrained(path),
        "image_processor": AutoImageProcessor.from_pretrained(path),
        "video_processor": video_kind(**own),
    }
    settings, _ = kind.get_processor_dict(path)
    takes = signature(kind.__init__).parameters
    warnings.warn(f"{path} has no {VIDEO_FILE}: the values of {IMAGE_FILE} are taken for videos too", stacklevel=3)
    return kind(**parts, **{key: value for key, value in settings.items() if key in takes and key not in parts})


def _video_kind(config: PreTrainedConfig) -> type:
    """transformers keeps the class, or the classes by their backend."""
    found = VIDEO_PROCESSOR_MAPPING[type(config)]
    return found if isinstance(found, type) else next(iter(found.values()))


def video_chat(processor: ProcessorMixin, path: str) -> str:
    """A chat with one video, asked for before the weights are read. Raises SaviError where the template lacks it."""
    placeholder = getattr(processor, "video_token", None)
    try:
        chat = ChatTemplate(processor).render([user("?")], reply_starts=True)
    except Exception as error:  # a template may raise anything
        raise SaviError(f"model.base.path: {path} has no usable chat template: {first_line(error)}") from None
    if placeholder is None or chat.count(placeholder) != 1:
        raise SaviError(f"model.base.path: the chat template of {path} has no place for a video")
    return chat
