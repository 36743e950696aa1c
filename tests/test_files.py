"""A file is the old one or the new one, and never holds a number that JSON has no word for."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from pathlib import Path

import pytest

from savi.files import replacing, write_json, write_json_lines, write_text
from savi.types import SaviError


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_json(path, {"a": 1})

    def write() -> None:
        with replacing(path) as unfinished:
            unfinished.write_text("{")
            raise OSError("disk full")

    with pytest.raises(OSError, match="full"):
        write()
    assert json.loads(path.read_text()) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


def test_a_process_killed_while_it_writes_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    write_text(path, "old\n")
    child = os.fork()
    if not child:
        with replacing(path) as unfinished:
            unfinished.write_text("half")
            time.sleep(60)
        os._exit(0)
    while not (tmp_path / "items.jsonl.tmp").is_file() or not (tmp_path / "items.jsonl.tmp").read_text():
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert path.read_text() == "old\n"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_is_refused(value: float, tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    write_json_lines(path, [{"logp": -1.5}])
    for write in (lambda: write_json(path, {"a": [value]}), lambda: write_json_lines(path, [{"logp": value}])):
        with pytest.raises(SaviError, match="isn't finite"):
            write()
    assert path.read_text() == '{"logp": -1.5}\n'


def test_text_that_is_no_utf8_is_written_with_question_marks(tmp_path: Path) -> None:
    write_json_lines(tmp_path / "a.jsonl", [{"reply": "ü \ud800"}])
    assert (tmp_path / "a.jsonl").read_text(encoding="utf-8") == '{"reply": "ü ?"}\n'
