"""Which way of sharing a model gets: decided by the kinds of its decoder's layers, before its weights are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from transformers import PreTrainedConfig, PreTrainedModel

from savi.errors import SaviError
from savi.models.chat import Chat
from savi.models.family import Family
from savi.models.packed import PackedSharing
from savi.models.plain import PlainSharing
from savi.models.prefix_cache import PrefixCache
from savi.models.sharing import Sharing
from savi.models.windows import FULL, RECURRENT, SLIDING, windows
from savi.types import Clip, Frames

WayName = Literal["tree", "state", "plain"]

STATE_DECODERS = frozenset({"qwen3_5_text", "qwen3_5_moe_text", "lfm3"})
"""Types of decoders whose recurrent layers hand their state on, see :mod:`savi.models.states`."""


WITHIN_A_TOKEN = {"mlp", "moe"}
"""Kinds of layers that look at no other token."""

CHOOSE_TOKENS = ("index_topk", "index_topk_blocks")
"""Settings of a decoder whose attention chooses the tokens that it sees."""


@dataclass(frozen=True)
class Way:
    """How the questions about a clip share it. reason: of `plain`, what keeps the clip from being shared."""

    name: WayName
    reason: str = ""

    @property
    def line(self) -> str:
        """What a run says of it at its start."""
        if self.name == "plain":
            return (
                f"sharing a clip: plain. {self.reason}, so the model reads a clip anew for every question and "
                "response; this is exact and slow"
            )
        once = "the model reads a clip once for all its questions and responses"
        how = "in every layer" if self.name == "tree" else "and the states of the recurrent layers"
        return f"sharing a clip: {self.name}. With attention {how}, {once}"


def way_of(config: PreTrainedConfig, family: Family | None = None) -> Way:
    """The way for a checkpoint's configuration. family: its own, as far as it is known yet."""
    if family is not None and family.visual is None:
        return Way("plain", f"The processor of type {config.model_type!r} writes no token for a visual feature")
    text = config.get_text_config()
    kinds = set(getattr(text, "layer_types", None) or ())
    others = sorted(kinds - {FULL, SLIDING} - RECURRENT - WITHIN_A_TOKEN)
    others += [name for name in CHOOSE_TOKENS if getattr(text, name, None)] if not others else []
    if others:
        return Way("plain", f"The decoder has layers of another kind ({', '.join(others)})")
    if kinds & RECURRENT:
        if text.model_type in STATE_DECODERS:
            return Way("state")
        return Way("plain", f"savi can't hand on the state of the recurrent layers of type {text.model_type!r}")
    return Way("tree")


def check_graphs(wanted: bool, way: Way, config: PreTrainedConfig, path: str) -> None:
    """Raise SaviError where CUDA graphs are wanted of steps that change as replies grow, or that aren't savi's.

    config, path: the checkpoint's.
    """
    if wanted and (way.name != "tree" or any(windows(config.get_text_config()).values())):
        raise SaviError(
            f"model.base.cuda_graphs has no effect with {path}: not every layer of its decoder has full attention; "
            "leave it out"
        )


def sharing(
    way: Way,
    model: PreTrainedModel,
    chat: Chat,
    cache: PrefixCache,
    decode: Callable[[Clip], Frames | None] | None = None,
    *,
    graphs: bool = False,
) -> Sharing:
    """A model's way at work. decode, graphs: see :class:`savi.models.packed.PackedSharing`."""
    if way.name == "plain":
        return PlainSharing(model, chat)
    return PackedSharing(model, chat, cache, decode, graphs=graphs)
