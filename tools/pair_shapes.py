"""The same pairs in every shape that savi reads, written as the projects' documentation has them."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Said:
    """A pair about a video. turns: (question, answer) before it. system: a system message, "" without."""

    video: str
    question: str
    chosen: str
    rejected: str
    turns: tuple[tuple[str, str], ...] = ()
    system: str = ""

    def messages(self, tag: str = "") -> list[dict[str, str]]:
        """The messages before the response. tag: put where the video is."""
        said = [("system", self.system)] if self.system else []
        said += [part for turn in self.turns for part in (("user", turn[0]), ("assistant", turn[1]))]
        said.append(("user", self.question))
        first = next(index for index, (role, _) in enumerate(said) if role == "user")
        return [
            {"role": role, "content": (tag if index == first else "") + text} for index, (role, text) in enumerate(said)
        ]


def trl_plain(pair: Said) -> dict[str, Any]:
    return {"prompt": pair.question, "chosen": pair.chosen, "rejected": pair.rejected, "video": pair.video}


def trl(pair: Said) -> dict[str, Any]:
    return {
        "prompt": pair.messages(),
        "chosen": [{"role": "assistant", "content": pair.chosen}],
        "rejected": [{"role": "assistant", "content": pair.rejected}],
        "videos": [pair.video],
    }


def trl_parts(pair: Said) -> dict[str, Any]:
    """With the content of messages in parts, as processors take it, and an implicit prompt."""
    messages: list[dict[str, Any]] = []
    shown = False
    for message in pair.messages():
        part = {"type": "text", "text": message["content"]}
        video = [{"type": "video", "video": pair.video}] if message["role"] == "user" and not shown else []
        shown = shown or bool(video)
        messages.append({"role": message["role"], "content": [*video, part]})
    return {
        side: [*messages, {"role": "assistant", "content": [{"type": "text", "text": getattr(pair, side)}]}]
        for side in ("chosen", "rejected")
    }


def swift(pair: Said) -> dict[str, Any]:
    return {
        "messages": [*pair.messages("<video>"), {"role": "assistant", "content": pair.chosen}],
        "rejected_response": pair.rejected,
        "videos": [pair.video],
    }


def swift_messages(pair: Said) -> dict[str, Any]:
    before = pair.messages("<video>")
    return {
        "messages": [*before, {"role": "assistant", "content": pair.chosen}],
        "rejected_messages": [*before, {"role": "assistant", "content": pair.rejected}],
        "videos": [pair.video],
    }


def factory(pair: Said) -> dict[str, Any]:
    names = {"user": "human", "assistant": "gpt"}
    said = [one for one in pair.messages("<video>") if one["role"] != "system"]
    row = {
        "conversations": [{"from": names[one["role"]], "value": one["content"]} for one in said],
        "chosen": {"from": "gpt", "value": pair.chosen},
        "rejected": {"from": "gpt", "value": pair.rejected},
        "videos": [pair.video],
    }
    return row | ({"system": pair.system} if pair.system else {})


def factory_alpaca(pair: Said) -> dict[str, Any]:
    turns = [list(turn) for turn in pair.turns]
    row = {
        "instruction": pair.question if turns else f"<video>{pair.question}",
        "history": [[f"<video>{turns[0][0]}", turns[0][1]], *turns[1:]] if turns else [],
        "chosen": pair.chosen,
        "rejected": pair.rejected,
        "videos": [pair.video],
    }
    return row | ({"system": pair.system} if pair.system else {})


SHAPES: dict[str, Callable[[Said], dict[str, Any]]] = {
    "TRL": trl,
    "TRL, parts": trl_parts,
    "ms-swift": swift,
    "ms-swift, messages": swift_messages,
    "LLaMA-Factory": factory,
    "LLaMA-Factory, alpaca": factory_alpaca,
}
"""Shapes of every conversation; TRL's plain one has room for a question alone."""


def write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def write_table(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """A CSV file, lists and objects in it as JSON."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        table.writeheader()
        for row in rows:
            table.writerow({k: v if isinstance(v, str) else json.dumps(v) for k, v in row.items()})
    return path


def write_json(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.write_text(json.dumps(list(rows)), encoding="utf-8")
    return path


def write_parquet(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    import pyarrow  # not at the top: the other shapes do without
    from pyarrow import parquet

    names = dict.fromkeys(name for row in rows for name in row)
    full = [{name: row.get(name) for name in names} for row in rows]
    parquet.write_table(pyarrow.Table.from_pylist(full), path)
    return path


WRITERS = {".jsonl": write_lines, ".csv": write_table, ".json": write_json, ".parquet": write_parquet}
