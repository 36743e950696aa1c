"""The messages of a row of preference data, and the place of the video in them. ValueErrors say what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
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

VIDEO_TAG = "<video>"


@dataclass(frozen=True)
class Said:
    """A message before the place of the video is known. videos: files that its own content names."""

    role: Role
    text: str
    places: tuple[int, ...] = ()
    videos: tuple[str, ...] = ()


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
    text, places, videos = "", [], []
    for part in parts:
        kind = part.get("type") if isinstance(part, Mapping) else None
        if kind == "text" and isinstance(part.get("text"), str):
            before, *others = part["text"].split(VIDEO_TAG)
            text += before
            for behind in others:
                places.append(len(text))
                text += behind
        elif kind == "video":
            places.append(len(text))
            videos += paths_of(part.get("video") or part.get("path") or part.get("url"))
        else:
            raise ValueError(f"a message has a part of the type {kind!r}; savi reads text and video")
    return Said(role, text, tuple(places), tuple(videos))


def place_video(said: Sequence[Said]) -> Conversation:
    """The conversation with its video where a tag or a part says, or else before the first words of the user."""
    if not said or said[-1].role != "user":
        raise ValueError("the last message before the response isn't the user's")
    if sum(len(one.places) for one in said) > 1:
        raise ValueError(f"it has more than one place for a video ({VIDEO_TAG})")
    if not any(one.places for one in said):
        first = next(index for index, one in enumerate(said) if one.role == "user")
        places: list[int | None] = [0 if index == first else None for index in range(len(said))]
    else:
        places = [one.places[0] if one.places else None for one in said]
    if any(place is not None and one.role != "user" for place, one in zip(places, said, strict=True)):
        raise ValueError("the video is in a message that isn't the user's")
    if not any(one.text.strip() for one in said if one.role == "user"):
        raise ValueError("it asks nothing")
    return tuple(Message(one.role, one.text, place) for one, place in zip(said, places, strict=True))


def reply_of(said: Said) -> str:
    """The text of a response. Raises ValueError for another message."""
    if said.role != "assistant" or said.places:
        raise ValueError("a response must be a text of the assistant's")
    return said.text


def named_videos(said: Sequence[Said]) -> Iterator[str]:
    """The files that messages name themselves."""
    return (video for one in said for video in one.videos)


def paths_of(value: Any) -> list[str]:
    """The paths of a field: a text, a record of `datasets` with a path, or a list of these."""
    if value is None:
        return []
    if isinstance(value, str):
        return [value.strip()]
    if isinstance(value, Mapping):
        if not isinstance(value.get("path"), str):
            raise ValueError("it holds a video's bytes; savi reads videos from files")
        return [cast(str, value["path"])]
    if isinstance(value, list) and all(isinstance(one, str | Mapping) for one in value):
        return [path for one in value for path in paths_of(one)]
    raise ValueError("its video is no path (a list of frames, say)")
