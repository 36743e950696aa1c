"""The token ids of a chat about a clip: prompts, responses, what ends a reply, and what no reply may hold."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache

from jinja2 import TemplateError
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase, ProcessorMixin

from savi.conversations import Conversation, Prompt, opening, to_messages
from savi.errors import SaviError
from savi.models.family import ClipPrefix, Family
from savi.models.template import REPLY, THOUGHT_END, ChatTemplate, user

KEPT = 64
"""Texts that are kept: nearly all conversations begin alike, and a judge's replies are the same two words."""


class Chat:
    """How one checkpoint's chat template and tokenizer write a clip, a prompt and a response.

    special_tokens: the tokenizer's special and added tokens and the video's placeholder, longest first, so that a token
    that contains another is taken out whole. end: the token that ends a response; end_from: who says so. end_ids: what
    ends a reply. banned_ids: tokens that no reply may hold, in ascending order: special ones, which would break the
    next turn's prompt, and rows of the output layer that no token owns (padding of the vocabulary). thought_end_id: the
    token that ends a thought, for a checkpoint whose replies begin with one; else None.
    generation: the checkpoint's configuration. rows: of the output layer.
    """

    def __init__(self, processor: ProcessorMixin, family: Family, generation: GenerationConfig, rows: int) -> None:
        self.processor = processor
        self.family = family
        self.tokenizer: PreTrainedTokenizerBase = processor.tokenizer
        self.template = ChatTemplate(processor)
        self._text_before = lru_cache(KEPT)(self._written_before)
        self._response_ids = lru_cache(KEPT)(self._ids_as_written)
        special = set(self.tokenizer.all_special_tokens) | set(self.tokenizer.get_added_vocab())
        self.special_tokens = sorted(special | {family.video_token(processor)}, key=len, reverse=True)
        configured = _end_ids(generation)
        self.end, self.end_from = self.template.end_of_turn(special, self.tokenizer.convert_ids_to_tokens(configured))
        self.end_ids = frozenset(
            {*configured, self.tokenizer.eos_token_id, self.tokenizer.convert_tokens_to_ids(self.end)} - {None}
        )
        special_ids = {self.tokenizer.convert_tokens_to_ids(token) for token in special} - self.end_ids
        self.banned_ids = tuple(sorted(special_ids | set(range(len(self.tokenizer), rows))))
        is_token = THOUGHT_END in self.tokenizer.get_vocab()
        self.thought_end_id: int | None = (
            self.tokenizer.convert_tokens_to_ids(THOUGHT_END) if is_token and self.template.opens_thought else None
        )

    @classmethod
    def of(cls, model: PreTrainedModel, processor: ProcessorMixin, family: Family) -> Chat:
        """The chat of a model whose weights are there."""
        return cls(processor, family, model.generation_config, model.get_output_embeddings().weight.shape[0])

    def text(self, prompt: Prompt, *, thinking: bool = False) -> str:
        """The chat as text: the prompt with the video's placeholder, and all up to where the assistant's reply starts.

        thinking: up to where the thought before the reply starts, for a checkpoint that thinks.
        Raises SaviError for a conversation that the chat template refuses.
        """
        messages = to_messages(prompt)
        for part in (part for message in messages for part in message["content"] if part["type"] == "text"):
            part["text"] = self.without_special_tokens(part["text"])
        try:
            return self.template.thought_prompt(messages) if thinking else self.template.prompt(messages)
        except TemplateError as error:
            raise SaviError(
                f"the chat template of {self.family.model_type} takes no such conversation: {error}"
            ) from None

    def closed(self, thought: Sequence[int], finished: bool) -> tuple[int, ...]:
        """The token ids of a thought, and of what comes between it and the reply."""
        return (*thought, *self.tokenize(("" if finished else "\n") + f"{THOUGHT_END}\n\n"))

    def stops(self, thinking: bool) -> tuple[frozenset[int], tuple[int, ...]]:
        """The tokens that end what is written, a thought or a reply, and those that it may not hold."""
        if not thinking or self.thought_end_id is None:
            return self.end_ids, self.banned_ids
        banned = tuple(token for token in self.banned_ids if token != self.thought_end_id)
        return self.end_ids | {self.thought_end_id}, banned

    def prompt_ids(self, prompt: Prompt, prefix: ClipPrefix, *, thinking: bool = False) -> tuple[int, ...]:
        """Token ids behind the clip's visual tokens, up to where the assistant's reply starts.

        A visual token is put in front and taken off again: some tokenizers treat the start of a text differently.
        Raises SaviError for a chat template that leaves the video or a system message out, and for one that writes
        another text before the video where the conversation goes on behind it.
        """
        placeholder, kind = self.family.video_token(self.processor), self.family.model_type
        chat = self.text(prompt, thinking=thinking)
        self.check_written(prompt, chat)
        before, _, behind = chat.partition(placeholder)
        if not isinstance(prompt, str) and before != self._text_before(opening(prompt)):
            raise SaviError(f"the chat template of {kind} writes another text before the video if turns follow")
        return self.ids_behind(prefix.tail + behind)

    def _written_before(self, opened: Conversation) -> str:
        """What the template writes before the video of a conversation with this opening, if nothing follows it."""
        return self.text(opened or "").partition(self.family.video_token(self.processor))[0]

    def ids_behind(self, text: str) -> tuple[int, ...]:
        """Token ids of a text behind a visual token."""
        return tuple(self.tokenize(self.family.visual_token(self.processor) + text)[1:])

    def check_written(self, prompt: Prompt, chat: str) -> None:
        """Raise SaviError for a chat template that left the video or a system message out. chat: what it wrote."""
        kind = self.family.model_type
        if self.family.video_token(self.processor) not in chat:
            raise SaviError(f"the chat template of {kind} wrote no placeholder for the video")
        systems = [] if isinstance(prompt, str) else [one.text for one in prompt if one.role == "system"]
        if any(self.without_special_tokens(text).strip() not in chat for text in systems):
            raise SaviError(f"the chat template of {kind} leaves the system message out")

    def response_ids(self, response: str) -> tuple[int, ...]:
        """Token ids of a response as the model itself would write it, the end token last."""
        return self._response_ids(response)

    def _ids_as_written(self, response: str) -> tuple[int, ...]:
        start, known = self._reply_start
        return tuple(self.tokenize(start + self.without_special_tokens(response) + self.end)[known:])

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a text, with nothing added to it."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False).input_ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of a reply's token ids, without special tokens and without blanks around it."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True)
        return text.strip()

    def without_special_tokens(self, text: str) -> str:
        """Text that a model wrote may spell a special token; it must not become one in the next prompt.

        What stood around a token may spell one in its turn, so tokens are removed until none is left.
        """
        before = None
        while text != before:
            before = text
            for token in self.special_tokens:
                text = text.replace(token, "")
        return text

    @cached_property
    def _reply_start(self) -> tuple[str, int]:
        """What to put in front of a response so that its tokens are those that the model writes, and how many to drop.

        Nothing as a rule. Some chat templates write a blank between generation prompt and reply (SmolVLM2's does): the
        model begins with it, and replies are stripped of it. Only text and reply in one tell how it is tokenized.
        """
        reply = {"role": "assistant", "content": [{"type": "text", "text": REPLY}]}
        try:
            chat = self.template.render([user(""), reply], reply_starts=False)
        except (TypeError, ValueError, TemplateError):
            return "", 0  # the template takes no reply of this form
        begun, prompt, behind = chat.partition(self.text(""))
        gap = behind.partition(REPLY)[0]
        start = self.family.visual_token(self.processor) + prompt.partition(self.family.video_token(self.processor))[2]
        ids = self.tokenize(start)
        if begun or not gap.isspace() or self.tokenize(f"{start}{gap}{REPLY}")[: len(ids)] != ids:
            return "", 0
        return start + gap, len(ids)


def _end_ids(generation: GenerationConfig) -> list[int]:
    configured = generation.eos_token_id
    listed = configured if isinstance(configured, list) else [configured]
    return [token for token in listed if token is not None]
