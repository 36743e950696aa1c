"""The rows of preference data as TRL, ms-swift, LLaMA-Factory and savi itself write them, told apart by their fields.

Read from the projects' own documentation: TRL's "Dataset formats" (preference, standard and conversational, with an
explicit or implicit prompt), ms-swift's "Custom dataset" (`messages` or `query`, `rejected_response`,
`rejected_messages`), and LLaMA-Factory's data/README (preference data in sharegpt, openai and alpaca form).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from savi.conversations import Conversation
from savi.data.pair_messages import Said, paths_of, place_clip, read_message, read_messages, reply_of

TRL, SWIFT, FACTORY, SAVI = "TRL", "ms-swift", "LLaMA-Factory", "savi"

UNREAD = ("audio", "audios", "tools", "objects")
"""Fields of a row that savi has no use for: a row that has something in them is refused, not read without it."""

TEXTS = ("prompt", "chosen", "rejected", "rejected_response")
"""Fields that are missing where they are empty; other fields may be empty."""


@dataclass(frozen=True)
class Shown:
    """A video, or images. paths: as the row has them; one for a video, none where the row names nothing."""

    paths: tuple[str, ...]
    images: bool = False


@dataclass(frozen=True)
class ShapedRow:
    """A pair as its row says it. shape: the project that writes such rows. shown: what both responses are about.
    rejected_shown: what the rejected one is about, where it is something else."""

    shape: str
    conversation: Conversation
    chosen: str
    rejected: str
    shown: Shown
    rejected_shown: Shown | None = None


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
    shown, other = _shown(row, said), _shown(row, (), "rejected_")
    if shown == other:
        other = Shown(())
    if chosen == rejected and not other.paths:
        raise ValueError("chosen and rejected are the same")
    if other.paths and (other.images != shown.images or (shown.images and len(other.paths) != len(shown.paths))):
        raise ValueError("chosen and rejected must both be about a video, or both about equally many images")
    conversation = place_clip(said, len(shown.paths) if shown.images else 0)
    return ShapedRow(shape, conversation, chosen, rejected, shown, other if other.paths else None)


def _shown(row: Mapping[str, Any], said: Sequence[Said], side: str = "") -> Shown:
    """What a row shows, by its own fields and by its messages. side: "rejected_" for that of the rejected response."""
    found: dict[str, list[str]] = {}
    for kind in ("video", "image"):
        named = [path for one in said for path in (one.videos if kind == "video" else one.images)]
        fields = [path for name in (f"{kind}s", kind) for path in paths_of(row.get(side + name), kind)]
        # A file is named once in the fields, and often once more in the messages.
        found[kind] = fields if fields and set(named) <= set(fields) else [*fields, *named]
    videos = list(dict.fromkeys(found["video"]))
    if len(videos) > 1:
        raise ValueError(f"it has {len(videos)} {side.replace('_', ' ')}videos; savi takes pairs about one video")
    if videos and found["image"]:
        raise ValueError("it has a video and images; savi takes pairs about one of them")
    return Shown(tuple(found["image"]), images=True) if found["image"] else Shown(tuple(videos))


_Read = Callable[[Mapping[str, Any]], tuple[list[Said], str, str]]


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


def _prompted(row: Mapping[str, Any]) -> tuple[list[Said], str, str]:
    """TRL's prompt, chosen and rejected: texts, or messages; without a prompt the messages that both have in common."""
    chosen, rejected = row["chosen"], row["rejected"]
    if isinstance(chosen, str) and isinstance(rejected, str):
        if "prompt" not in row:
            raise ValueError("it has no prompt")
        return _prompt(row["prompt"]), chosen, rejected
    if not (isinstance(chosen, list) and isinstance(rejected, list)):
        raise ValueError("chosen and rejected must both be texts, or both be lists of messages")
    sides = [read_messages(side) for side in (chosen, rejected)]
    if len(sides[0]) == len(sides[1]) == 1 and "prompt" in row:
        said = _prompt(row["prompt"])
    else:
        said = [one for one, _ in takewhile(lambda both: both[0] == both[1], zip(*sides, strict=False))]
        said = said[: min(map(len, sides)) - 1]
        sides = [side[len(said) :] for side in sides]
    for side in sides:
        if len(side) != 1:
            raise ValueError("chosen and rejected differ in more than the last message")
    return said, reply_of(sides[0][0]), reply_of(sides[1][0])


def _prompt(value: Any) -> list[Said]:
    return [read_message("user", value)] if isinstance(value, str) else read_messages(value)


def _swift(row: Mapping[str, Any]) -> tuple[list[Said], str, str]:
    if "messages" not in row:
        return _turns(row, "query"), _text(row, "response"), _text(row, "rejected_response")
    (*said, last) = read_messages(row["messages"])
    said = _with_system(row, said)
    if "rejected_messages" not in row:
        return said, reply_of(last), _text(row, "rejected_response")
    (*others, rejected) = read_messages(row["rejected_messages"])
    if _with_system(row, others) != said:
        raise ValueError("messages and rejected_messages differ in more than the last message")
    return said, reply_of(last), reply_of(rejected)


def _factory(row: Mapping[str, Any]) -> tuple[list[Said], str, str]:
    if "instruction" in row:
        said = _turns(row, "instruction")
    else:
        said = _with_system(row, read_messages(row.get("conversations") or row.get("messages")))
    return said, _side(row["chosen"]), _side(row["rejected"])


def _side(value: Any) -> str:
    return (
        value
        if isinstance(value, str)
        else reply_of(read_messages([value] if isinstance(value, Mapping) else value)[-1])
    )


def _turns(row: Mapping[str, Any], question: str) -> list[Said]:
    """A question of one field, behind the turns of `history`; alpaca's has an `input` behind it."""
    said: list[Said] = []
    for turn in row.get("history", ()):
        if not (isinstance(turn, Sequence) and len(turn) == 2 and all(isinstance(text, str) for text in turn)):
            raise ValueError("history must be pairs of a question and an answer")
        said += [read_message("user", turn[0]), read_message("assistant", turn[1])]
    asked = [_text(row, question), *([_text(row, "input")] if "input" in row else [])]
    return _with_system(row, [*said, read_message("user", "\n".join(asked))])


def _with_system(row: Mapping[str, Any], said: list[Said]) -> list[Said]:
    if "system" not in row or (said and said[0].role == "system"):
        return said
    return [read_message("system", _text(row, "system")), *said]


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name} must be a text")
    return value


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | dict) and not value)
