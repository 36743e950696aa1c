"""Offline W&B runs, read back."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def records_of(file: Path) -> Iterator[Any]:
    """The records of a .wandb file: protocol buffers in a log of blocks of 32 KiB (LevelDB's)."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, record = file.read_bytes(), 7, b""
    while place + 7 <= len(data):
        left = 2**15 - place % 2**15
        if left < 7:
            place += left
            continue
        _, length, part = struct.unpack("<IHB", data[place : place + 7])
        record += data[place + 7 : place + 7 + length]
        place += 7 + length
        if part in (1, 4):  # a whole record, or the last part of one
            yield Record.FromString(record)
            record = b""


def finished_run(folder: Path) -> list[Any]:
    """All records of the only run below a `wandb` folder, once the process that writes it has ended it."""
    (file,) = folder.glob("offline-run-*/*.wandb")
    deadline = time.monotonic() + 60
    while not (records := list(records_of(file))) or not any(record.HasField("exit") for record in records):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return records


def history_of(records: list[Any]) -> list[dict[str, Any]]:
    """What was logged, row by row."""
    rows = [
        {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for record in records
    ]
    return [row for row in rows if row]


def tables_of(records: list[Any]) -> dict[str, tuple[dict[str, Any], list[Path]]]:
    """The logged tables by name: their JSON, and the files of their media, all of which are there."""
    tables = {}
    for record in records:
        files = {entry.path: Path(entry.local_path) for entry in record.artifact.manifest.contents}
        for name, file in files.items():
            if name.endswith(".table.json"):
                media = [path for other, path in files.items() if other.startswith("media/")]
                assert all(path.is_file() for path in media)
                tables[name.removesuffix(".table.json")] = json.loads(file.read_text()), media
    return tables
