"""The rows of preference data as TRL, ms-swift, LLaMA-Factory and savi itself write them, told apart by their fields.

Read from the projects' own documentation: TRL's "Dataset formats" (preference, standard and conversational, with an
explicit or implicit prompt), ms-swift's "Custom dataset" (`messages` or `query`, `rejected_response`,
`rejected_messages`), and LLaMA-Factory's data/README (preference data in sharegpt, openai and alpaca form).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, cast

from savi.conversations import Conversation, Message, Role

TRL, SWIFT, FACTORY, SAVI = "TRL", "ms-swift", "LLaMA-Factory", "savi"

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

UNREAD = ("audio", "audios", "tools", "objects")
"""Fields of a row that savi has no use for: a row that has something in them is refused, not read without it."""


OTHER_MEDIA = ("image", "images", "rejected_image", "rejected_images", "rejected_video", "rejected_videos")

TEXTS = ("prompt", "chosen", "rejected", "rejected_response")
"""Fields that are missing where they are empty; other fields may be empty."""


@dataclass(frozen=True)
class ShapedRow:
    """A pair as its row says it. shape: the project that writes such rows. videos: paths as the row has them."""

    shape: str
    conversation: Conversation
    chosen: str
    rejected: str
    videos: tuple[str, ...]


@dataclass(frozen=True)
class _Said:
    """A message before the place of the video is known. videos: files that its own content names."""

    role: Role
    text: str
    places: tuple[int, ...] = ()
    videos: tuple[str, ...] = ()


def read_row(row: Mapping[str, Any]) -> ShapedRow:
    """Raises ValueError for a row without a pair that savi can learn from; its message is the reason."""
    row = {name: value or "" for name, value in row.items() if name in TEXTS or not _is_empty(value)}
    shape, read = _shape_of(row)
    said, chosen, rejected = read(row)
    chosen, rejected = chosen.strip(), rejected.strip()
    for name, response in (("chosen", chosen), ("rejected", rejected)):
        if not response:
            raise ValueError(f"the {name} response is empty")
    for name in UNREAD:
        if name in row:
            raise ValueError(f"it has {name}, which savi doesn't read")
    for name in OTHER_MEDIA:
        if name in row:
            raise ValueError(f"it has {name}; savi takes pairs about one video")
    if chosen == rejected:
        raise ValueError("chosen and rejected are the same")
    videos = list(dict.fromkeys((*_paths(row.get("videos")), *_paths(row.get("video")), *_named(said))))
    if len(videos) > 1:
        raise ValueError(f"it has {len(videos)} videos; savi takes pairs about one video")
    return ShapedRow(shape, _with_video(said), chosen, rejected, tuple(videos))


_Read = Callable[[Mapping[str, Any]], tuple[list[_Said], str, str]]


def _shape_of(row: Mapping[str, Any]) -> tuple[str, _Read]:
    has = row.keys()
    if {"prompt", "chosen", "rejected", "clip", "reference_chosen_logp"} <= has:
        return SAVI, _prompted
    if has & {"rejected_response", "rejected_messages"} and has & {"messages", "query"}:
        return SWIFT, _swift
    if {"chosen", "rejected"} <= has and has & {"conversations", "messages", "instruction"}:
        return FACTORY, _factory
    if {"chosen", "rejected"} <= has:
        return TRL, _prompted
    if "label" in has and has & {"messages", "completion", "conversations"}:
        raise ValueError("it is a single response with a label (KTO), not a pair")
    raise ValueError(f"its fields ({', '.join(sorted(map(str, has))) or 'none'}) are of no known shape of pairs")


def _prompted(row: Mapping[str, Any]) -> tuple[list[_Said], str, str]:
    """TRL's prompt, chosen and rejected: texts, or messages; without a prompt the messages that both have in common."""
    chosen, rejected = row["chosen"], row["rejected"]
    if isinstance(chosen, str) and isinstance(rejected, str):
        if "prompt" not in row:
            raise ValueError("it has no prompt")
        return _prompt(row["prompt"]), chosen, rejected
    if not (isinstance(chosen, list) and isinstance(rejected, list)):
        raise ValueError("chosen and rejected must both be texts, or both be lists of messages")
    sides = [_messages(side) for side in (chosen, rejected)]
    if len(sides[0]) == len(sides[1]) == 1 and "prompt" in row:
        said = _prompt(row["prompt"])
    else:
        said = [one for one, _ in takewhile(lambda both: both[0] == both[1], zip(*sides, strict=False))]
        said = said[: min(map(len, sides)) - 1]
        sides = [side[len(said) :] for side in sides]
    for side in sides:
        if len(side) != 1:
            raise ValueError("chosen and rejected differ in more than the last message")
    return said, _reply(sides[0][0]), _reply(sides[1][0])


def _prompt(value: Any) -> list[_Said]:
    return [_said("user", value)] if isinstance(value, str) else _messages(value)


def _swift(row: Mapping[str, Any]) -> tuple[list[_Said], str, str]:
    if "messages" not in row:
        return _turns(row, "query"), _text(row, "response"), _text(row, "rejected_response")
    (*said, last) = _messages(row["messages"])
    said = _with_system(row, said)
    if "rejected_messages" not in row:
        return said, _reply(last), _text(row, "rejected_response")
    (*others, rejected) = _messages(row["rejected_messages"])
    if _with_system(row, others) != said:
        raise ValueError("messages and rejected_messages differ in more than the last message")
    return said, _reply(last), _reply(rejected)


def _factory(row: Mapping[str, Any]) -> tuple[list[_Said], str, str]:
    if "instruction" in row:
        said = _turns(row, "instruction")
    else:
        said = _with_system(row, _messages(row.get("conversations") or row.get("messages")))
    return said, _side(row["chosen"]), _side(row["rejected"])


def _side(value: Any) -> str:
    return value if isinstance(value, str) else _reply(_messages([value] if isinstance(value, Mapping) else value)[-1])


def _turns(row: Mapping[str, Any], question: str) -> list[_Said]:
    """A question of one field, behind the turns of `history`; alpaca's has an `input` behind it."""
    said: list[_Said] = []
    for turn in row.get("history", ()):
        if not (isinstance(turn, Sequence) and len(turn) == 2 and all(isinstance(text, str) for text in turn)):
            raise ValueError("history must be pairs of a question and an answer")
        said += [_said("user", turn[0]), _said("assistant", turn[1])]
    asked = [_text(row, question), *([_text(row, "input")] if "input" in row else [])]
    return _with_system(row, [*said, _said("user", "\n".join(asked))])


def _with_system(row: Mapping[str, Any], said: list[_Said]) -> list[_Said]:
    if "system" not in row or (said and said[0].role == "system"):
        return said
    return [_said("system", _text(row, "system")), *said]


def _messages(value: Any) -> list[_Said]:
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
        said.append(_said(ROLES[name], message.get("content", message.get("value"))))
    return said


def _said(role: Role, content: Any) -> _Said:
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
            videos += _paths(part.get("video") or part.get("path") or part.get("url"))
        else:
            raise ValueError(f"a message has a part of the type {kind!r}; savi reads text and video")
    return _Said(role, text, tuple(places), tuple(videos))


def _with_video(said: Sequence[_Said]) -> Conversation:
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


def _reply(said: _Said) -> str:
    if said.role != "assistant" or said.places:
        raise ValueError("a response must be a text of the assistant's")
    return said.text


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a text")
    return value


def _named(said: Sequence[_Said]) -> Iterator[str]:
    return (video for one in said for video in one.videos)


def _paths(value: Any) -> list[str]:
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
        return [path for one in value for path in _paths(one)]
    raise ValueError("its video is no path (a list of frames, say)")


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | dict) and not value)
