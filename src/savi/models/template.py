"""What a checkpoint's chat template says: where a reply starts, what ends it, and whether a thought comes first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase, ProcessorMixin

from savi.errors import SaviError

THOUGHT, THOUGHT_END = "<think>", "</think>"
SWITCH = "enable_thinking"
"""The variable by which templates of Qwen, GLM and others are asked to leave the thought out."""

THOUGHT_TOKENS = 1024
"""Most tokens of a thought where the settings don't say."""

REPLY = "reply"


class ChatTemplate:
    """A processor's chat template, asked by rendering chats with it.

    A template that can leave the thought out is always asked to. `opens_thought` tells of one that can't: a reply of
    such a checkpoint begins with a thought, which savi closes before it scores a response.
    """

    def __init__(self, processor: ProcessorMixin) -> None:
        self.processor = processor
        self.tokenizer: PreTrainedTokenizerBase = processor.tokenizer
        source = processor.chat_template or self.tokenizer.chat_template
        self.source = "\n".join(source.values()) if isinstance(source, dict) else str(source)

    def render(self, messages: Sequence[dict[str, Any]], *, reply_starts: bool) -> str:
        """A chat as text, as the template writes it. reply_starts: up to where the assistant's next reply starts."""
        switch = {SWITCH: False} if SWITCH in self.source else {}
        text: str = self.processor.apply_chat_template(
            list(messages), add_generation_prompt=reply_starts, tokenize=False, **switch
        )
        return text

    def prompt(self, messages: Sequence[dict[str, Any]]) -> str:
        """A chat up to where the next reply starts, behind a thought that is closed and empty."""
        return self.render(messages, reply_starts=True) + self.no_thought

    def thought_prompt(self, messages: Sequence[dict[str, Any]]) -> str:
        """A chat up to where the thought before the next reply starts, for a checkpoint that has one."""
        asked = self.render(messages, reply_starts=True)
        return asked if _is_open(asked) else f"{asked}{THOUGHT}\n"

    @cached_property
    def no_thought(self) -> str:
        """What makes the thought before a reply an empty one, behind a rendered chat; "" where replies have none."""
        if not self.opens_thought:
            return ""
        asked = self.render([user("")], reply_starts=True)
        begin = "" if _is_open(asked) else f"{THOUGHT}\n"
        return f"{begin}{'' if (asked + begin).endswith(chr(10)) else chr(10)}\n{THOUGHT_END}\n\n"

    @cached_property
    def opens_thought(self) -> bool:
        """Whether replies begin with a thought that the template can't leave out.

        The template opens one itself, or it takes thoughts out of earlier turns and has no switch.
        """
        return _is_open(self.render([user("")], reply_starts=True)) or (
            THOUGHT_END in self.source and SWITCH not in self.source
        )

    def thought_tokens(self, wanted: int | None) -> int:
        """How many tokens a thought may have. Raises SaviError for a number where replies don't begin with one."""
        closable = THOUGHT_END in self.tokenizer.get_vocab()
        if self.opens_thought and closable:
            return THOUGHT_TOKENS if wanted is None else wanted
        if wanted:
            why = f"{THOUGHT_END} is no token of the vocabulary" if self.opens_thought else "replies have no thought"
            raise SaviError(f"model.base.thought_tokens has no effect with this base: {why}; leave it out")
        return 0

    def end_of_turn(self, tokens: Collection[str], configured: Sequence[str]) -> tuple[str, str]:
        """The token that ends a reply, and who says so.

        The template's own text behind a reply tells it. Where it writes none, the next turn may start with it (GLM's
        do), if the checkpoint's generation configuration agrees; else that configuration alone tells it.
        tokens: special and added ones. configured: what ends a generation, by the checkpoint's configuration.
        """
        reply = {"role": "assistant", "content": [{"type": "text", "text": REPLY}]}
        eos: str = self.tokenizer.eos_token
        if token := self._behind([user(""), reply], tokens):
            return token, "the chat template"
        if (token := self._behind([user(""), reply, user("?", video=False)], tokens)) in configured:
            return token, "the chat template"
        if eos in configured or not configured:
            return eos, "the tokenizer"
        return configured[0], "the generation configuration"

    def _behind(self, messages: Sequence[dict[str, Any]], tokens: Collection[str]) -> str:
        """The token that the template writes behind the reply, "" for none."""
        try:
            text = self.render(messages, reply_starts=False)
        except (TypeError, ValueError, TemplateError):
            return ""  # the template takes no second turn, or no reply of this form
        opening = self.render(messages[:1], reply_starts=False)
        behind = text.removeprefix(opening).partition(REPLY)[2].lstrip()
        return max((token for token in tokens if behind.startswith(token)), key=len, default="")


def user(text: str, video: bool = True) -> dict[str, Any]:
    """A user's message, about a video as a rule."""
    written = {"type": "text", "text": text}
    return {"role": "user", "content": [{"type": "video"}, written] if video else [written]}


def _is_open(chat: str) -> bool:
    """Whether a chat ends within a thought."""
    return chat.rpartition(THOUGHT)[2].strip() == "" and THOUGHT in chat
