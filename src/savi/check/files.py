"""Checks of a checkpoint's configuration, processor and chat template; no weights are read."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import torch
from transformers import AutoModelForImageTextToText, PreTrainedModel

from savi.check.sizes import CARDS, CHAIN, GB, most_clips, size_of
from savi.errors import SaviError
from savi.models.adapters import LoraSettings, attach_lora
from savi.models.hub import NotHereError
from savi.models.load import BaseSettings, KnownBase, load_known
from savi.models.self_checks import REMEDY, Finding, end_of_reply, guarded, noise, prompt_ids, thought
from savi.models.template import user
from savi.types import Frames


def check_files(settings: BaseSettings, frames: int, height: int, width: int) -> Iterator[Finding]:
    """Every check in turn.

    frames, height, width: of the clips that tokens are counted for.
    """
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always", UserWarning)
            known = load_known(settings, frames)
    except SaviError as error:
        yield refused("files", error)
        return
    yield Finding("type", True, f"{known.config.model_type}, {type(known.processor).__name__}")
    yield from (Finding("note", None, str(one.message)) for one in warned if one.category is UserWarning)
    yield Finding("sharing a clip", True, known.way.line.removeprefix("sharing a clip: "))
    yield from _chat(known)
    clip = noise(frames, height, width)
    yield guarded("prompt ids", lambda: prompt_ids(known.chat, known.way, clip))
    yield guarded("tokens per clip", lambda: tokens(known, clip))
    yield guarded("LoRA", lambda: lora(known))
    yield guarded("memory", lambda: memory(known, clip, nf4=settings.nf4))


def refused(name: str, error: SaviError) -> Finding:
    """A checkpoint whose files or weights can't be read."""
    reason, remedy = (error.reason, error.remedy) if isinstance(error, NotHereError) else (str(error), REMEDY)
    return Finding(name, False, reason.removeprefix("model.base.path: "), remedy)


def _chat(known: KnownBase) -> Iterator[Finding]:
    chat = known.chat
    template = chat.template
    before = template.render([user("?")], reply_starts=True).partition(known.family.video_token(known.processor))[0]
    yield Finding("before the video", None, repr(before) if before else "nothing")
    yield end_of_reply(chat)
    yield thought(chat)
    reply = {"role": "assistant", "content": [{"type": "text", "text": "reply"}]}
    try:
        template.render([user("?"), reply, user("!", video=False)], reply_starts=True)
        yield Finding("further turns", None, "taken")
    except Exception:  # a template may raise anything
        yield Finding("further turns", None, "refused: pairs from files may hold one question and no conversation")


def tokens(known: KnownBase, clip: Frames) -> Finding:
    """How many tokens a clip of the chosen frames and size takes."""
    count = prefix_tokens(known, clip)
    frames, height, width, _ = clip.pixels.shape
    longest = getattr(known.config.get_text_config(), "max_position_embeddings", None)
    says = f"{count:,} for {frames} frames of {width} x {height}"
    if longest and count > longest:
        return Finding(
            "tokens per clip", False, f"{says}; the model takes {longest:,}", "lower data.max_pixels or data.frames"
        )
    return Finding("tokens per clip", True, says)


def prefix_tokens(known: KnownBase, clip: Frames) -> int:
    """Tokens of a clip, with all that comes before it."""
    text = known.chat.text("")
    return int(known.family.video_inputs(known.processor, text, clip)["input_ids"].shape[1])


def lora(known: KnownBase) -> Finding:
    """Which layers take LoRA, and how many weights they have at the default rank."""
    settings = LoraSettings()
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForImageTextToText.from_config(known.config)
        adapted = attach_lora(model, known.family, settings)
    names = [name for name, module in adapted.named_modules() if hasattr(module, "lora_A")]
    kinds = sorted({name.rpartition(".")[2] for name in names})
    count = sum(one.numel() for one in adapted.parameters() if one.requires_grad)
    return Finding("LoRA", True, f"{len(names)} layers ({', '.join(kinds)}), {count:,} weights at rank {settings.r}")


def memory(known: KnownBase, clip: Frames, *, nf4: bool) -> Finding:
    """What a step and the chain take of a GPU, and a round of 4,000 clips of its time."""
    size = size_of(known, prefix_tokens(known, clip))
    held, hours = "in 4 bits" if nf4 else "in bfloat16", size.hours(CHAIN)
    says = f"computed, {held}: {size.total(nf4):.1f} GB, {hours:.0f} hours for a round of 4,000 clips"
    cards: tuple[float, ...] = CARDS
    if torch.cuda.is_available():
        cards = (torch.cuda.get_device_properties(0).total_memory / GB,)
    fitting = [most_clips(size, nf4, card) for card in cards]
    says += f"; clips at once on a card of {' / '.join(f'{card:.0f}' for card in cards)} GB: "
    says += " / ".join("none" if clips is None else str(clips) for clips in fitting)
    remedy = "" if any(fitting) else "take --nf4, fewer frames, or a smaller checkpoint"
    return Finding("memory", any(fitting), says, remedy)
