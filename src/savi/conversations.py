"""What a response replies to: a question behind a video, or a conversation that shows the video somewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

Role = Literal["system", "user", "assistant"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class Message:
    """One message. video: how many characters of its text come before the video; None for a message without it."""

    role: Role
    text: str
    video: int | None = None


Conversation = tuple[Message, ...]
"""The messages before a reply, the oldest first. One of them holds the video, and the last one is the user's."""

Prompt = str | Conversation
"""What a response replies to. A text is the one message of a user who shows the video first."""


def simplified(conversation: Conversation) -> Prompt:
    """A conversation of one message that begins with the video as its text; any other one as it is."""
    (first, *more) = conversation
    return first.text if not more and first.role == "user" and first.video == 0 else conversation


def opening(prompt: Prompt) -> Conversation:
    """The messages up to the video, the last of them cut behind it. () where the video comes first.

    Prompts with the same opening share all that the model reads up to the end of the video.
    """
    if isinstance(prompt, str):
        return ()
    last = next(index for index, message in enumerate(prompt) if message.video is not None)
    place = prompt[last].video
    if (last, place, prompt[last].role) == (0, 0, "user"):
        return ()
    return (*prompt[:last], replace(prompt[last], text=prompt[last].text[:place]))


def last_words(prompt: Prompt) -> str:
    """The text of the last message: the question that a response answers."""
    return prompt if isinstance(prompt, str) else prompt[-1].text


def to_messages(prompt: Prompt) -> list[dict[str, Any]]:
    """The messages as chat templates take them: each with its role and a list of its parts, texts and the video."""
    if isinstance(prompt, str):
        prompt = (Message("user", prompt, 0),)
    return [{"role": message.role, "content": _parts(message)} for message in prompt]


def _parts(message: Message) -> list[dict[str, str]]:
    if message.video is None:
        return [{"type": "text", "text": message.text}]
    before, behind = message.text[: message.video], message.text[message.video :]
    shown = [{"type": "video"}, {"type": "text", "text": behind}]
    return [{"type": "text", "text": before}, *shown] if before else shown


def from_messages(messages: Sequence[Mapping[str, Any]]) -> Conversation:
    """The reverse of :func:`to_messages`. Raises ValueError, with the reason, for anything else."""
    read = []
    for message in messages:
        role, content = (message.get(name) if isinstance(message, Mapping) else None for name in ("role", "content"))
        if role not in ROLES or not isinstance(content, list):
            raise ValueError(f"no message: {message!r}")
        text, place = "", None
        for part in content:
            match part:
                case {"type": "text", "text": str(more)}:
                    text += more
                case {"type": "video"}:
                    place = len(text)
                case _:
                    raise ValueError(f"no part of a message: {part!r}")
        read.append(Message(cast(Role, role), text, place))
    if sum(message.video is not None for message in read) != 1:
        raise ValueError("a conversation shows one video")
    return tuple(read)
