"""The messages of a row of preference data, and the place of the video in them. ValueErrors say what is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from savi.conversations import Conversation, Message, Role

ROLES: dict[str, Role] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
}
"""The roles of a message by the names that the projects have for them."""

TAG = re.compile(r"<(video|image)>")

Place = tuple[int, str]
"""Where a message shows something: characters of its text before it, and "video" or "image"."""


@dataclass(frozen=True)
class Said:
    """A message before the place of the clip is known. videos, images: files that its own content names."""

    role: Role
    text: str
    places: tuple[Place, ...] = ()
    videos: tuple[str, ...] = ()
    images: tuple[str, ...] = ()


def read_messages(value: Any) -> list[Said]:
    """Messages with role and content, or with from and value."""
    if not isinstance(value, list) or not value or not all(isinstance(message, Mapping) for message in value):
        raise ValueError("a conversation must be a list of messages")
    said = []
    for message in value:
        name = message.get("role", message.get("from"))
        if name not in ROLES:
            raise ValueError(f"it has a message of the role {name!r}; savi knows system, user and assistant")
        if message.get("tool_calls"):
            raise ValueError("it calls tools, which savi doesn't read")
        said.append(read_message(ROLES[name], message.get("content", message.get("value"))))
    return said


def read_message(role: Role, content: Any) -> Said:
    """A message from a text with tags, or from a list of parts."""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(parts, list):
        raise ValueError("a message has no text")
    text = ""
    places: list[Place] = []
    files: dict[str, list[str]] = {"video": [], "image": []}
    for part in parts:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind == "text" and isinstance(part.get("text"), str):
            before, *others = TAG.split(part["text"])
            text += before
            for shown, behind in zip(others[::2], others[1::2], strict=True):
                places.append((len(text), shown))
                text += behind
        elif kind in files:
            places.append((len(text), kind))
            files[kind] += paths_of(part.get(kind) or part.get("path") or part.get("url"), kind)
        else:
            raise ValueError(f"a message has a part of the type {kind!r}; savi reads text, video and image")
    return Said(role, text, tuple(places), tuple(files["video"]), tuple(files["image"]))


def place_clip(said: Sequence[Said], images: int = 0) -> Conversation:
    """The conversation with its clip where a tag or a part says, or else before the first words of the user.

    images: how many are the clip's frames; 0 for a video. They are shown in one place.
    """
    if not said or said[-1].role != "user":
        raise ValueError("the last message before the response isn't the user's")
    kind = "image" if images else "video"
    marks = [shown for one in said for _, shown in one.places]
    if any(shown != kind for shown in marks):
        raise ValueError(f"it has a place for {'a video' if images else 'an image'} and no such file")
    if marks and len(marks) != max(images, 1):
        number = f"{len(marks)} places for {images} images" if images else "more than one place for a video"
        raise ValueError(f"it has {number} (<{kind}>)")
    said = [_in_one_place(one) for one in said]
    if sum(bool(one.places) for one in said) > 1:
        raise ValueError("its images are in several messages; savi shows them as the frames of one clip")
    if not any(one.places for one in said):
        first = next(index for index, one in enumerate(said) if one.role == "user")
        places: list[int | None] = [0 if index == first else None for index in range(len(said))]
    else:
        places = [one.places[0][0] if one.places else None for one in said]
    if any(place is not None and one.role != "user" for place, one in zip(places, said, strict=True)):
        raise ValueError(f"the {kind} is in a message that isn't the user's")
    if not any(one.text.strip() for one in said if one.role == "user"):
        raise ValueError("it asks nothing")
    return tuple(Message(one.role, one.text, place) for one, place in zip(said, places, strict=True))


def _in_one_place(said: Said) -> Said:
    """A message with its images where the first of them is. Raises ValueError where text comes between them."""
    if len(said.places) < 2:
        return said
    first, last = said.places[0][0], said.places[-1][0]
    if said.text[first:last].strip():
        raise ValueError("it has text between its images; savi shows them as the frames of one clip")
    return replace(said, text=said.text[:first] + said.text[last:], places=said.places[:1])


def reply_of(said: Said) -> str:
    """The text of a response. Raises ValueError for another message."""
    if said.role != "assistant" or said.places:
        raise ValueError("a response must be a text of the assistant's")
    return said.text


def paths_of(value: Any, kind: str = "video") -> list[str]:
    """The paths of a field: a text, a record of `datasets` with a path, or a list of these. kind: for messages."""
    if value is None:
        return []
    if isinstance(value, str):
        return [value.strip()]
    if isinstance(value, Mapping):
        if not isinstance(value.get("path"), str):
            raise ValueError(f"it holds the bytes of its {kind}; savi reads files")
        return [cast(str, value["path"])]
    if isinstance(value, list) and all(isinstance(one, str | Mapping) for one in value):
        return [path for one in value for path in paths_of(one, kind)]
    raise ValueError(f"its {kind} is no path" + (" (a list of frames, say)" if kind == "video" else ""))
